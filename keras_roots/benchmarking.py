"""Latency of models and exported files, measured side by side."""

import contextlib
import dataclasses
import importlib.metadata
import math
import os
import platform
from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_roots import files, timers
from keras_roots.tables import format_table
from keras_roots.timers import Case

_PACKAGES = ("keras_roots", "keras", "tensorflow", "ai-edge-litert")


@dataclasses.dataclass(frozen=True)
class Latency:
    """Time of one call of a network.

    Attributes:
        name: Name of the network.
        runtime: As in `Case`.
        quantize: As in `Case`; `None` for files, which do not tell.
        optimize: As in `Case`.
        threads: Number of threads.
        batch_size: Images per call.
        median_ms: Median time of a call, in milliseconds.
        p10_ms: First decile.
        p90_ms: Last decile.
        runs: Number of calls timed.
        ratio: Time over that of the comparison's first row: median of the rounds'.
        ratio_low: Smallest ratio of a round.
        ratio_high: Largest ratio of a round.
        macs: Multiply-adds per image, `None` if the target is no Keras model.
        file_size: Bytes of the file or SavedModel, `None` for `runtime="keras"`.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    name: str
    runtime: str
    quantize: str | None
    optimize: str | None
    threads: int
    batch_size: int
    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int
    ratio: float
    ratio_low: float
    ratio_high: float
    macs: int | None
    file_size: int | None
    processor: str
    versions: str

    def __str__(self) -> str:
        return table([self])


def benchmark(
    target,
    runtime: str = "litert",
    threads: int = 1,
    batch_size: int = 1,
    *,
    warmup: int = 5,
    runs: int = 50,
    input_shape: tuple[int, int, int] | None = None,
    quantize: str | None = None,
    optimize: str | None = None,
) -> Latency:
    """Measures the latency of a model or an exported file.

    To compare networks use `compare`: on a busy machine, times taken one after the
    other differ by more than the networks do.

    Args:
        target: As for `Case`, like the arguments not listed here.
        runtime: As for `Case`.
        threads: As for `Case`.
        batch_size: As for `Case`.
        warmup: Calls before the first timed one.
        runs: Timed calls.
        input_shape: As for `Case`.
        quantize: As for `Case`.
        optimize: As for `Case`.

    Returns:
        A `Latency`; prints as a table.

    Raises:
        ValueError: An argument is impossible or does not fit the target.
        FileNotFoundError: There is no such file.
        ImportError: The runtime is not installed.

    Example:
        >>> benchmark(keras_roots.RootNiN(root=8), quantize="int8").median_ms
    """
    case = Case(target, runtime, threads, batch_size, input_shape, quantize, optimize)
    name = getattr(target, "name", None) or os.path.basename(os.path.normpath(target))
    return compare({name: case}, warmup=warmup, runs=runs)[0]


def compare(
    targets: Mapping[str, Case | keras.Model | str | os.PathLike],
    *,
    warmup: int = 5,
    runs: int = 50,
    rounds: int = 5,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Latency]:
    """Measures networks in turns, A B A B, so that they share the machine's moods.

    Args:
        targets: What to measure, by name: a `Case`, or a target for a `Case` with its
            defaults.
        warmup: Calls of each before the first timed one.
        runs: Timed calls of each, at least.
        rounds: Turns of each.
        progress: Called with a line of text after each step.

    Returns:
        A `Latency` for each, in order; `table` and `write_csv` show them.

    Raises:
        ValueError: An argument is impossible or does not fit a target.
        FileNotFoundError: There is no such file.
        ImportError: A runtime is not installed.
    """
    cases = {
        name: target if isinstance(target, Case) else Case(target)
        for name, target in targets.items()
    }
    for name, value, least in (
        ("targets", len(cases), 1),
        ("warmup", warmup, 0),
        ("runs", runs, 1),
        ("rounds", rounds, 1),
    ):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {value!r}")
    for case in cases.values():
        timers.check_case(case)
    each = math.ceil(runs / rounds)
    with contextlib.ExitStack() as stack:
        made = []
        for name, case in cases.items():
            made.append(timers.make_timer(case, stack))
            made[-1].time(warmup)
            progress(f"loaded {case.label or name} ({len(made)} of {len(cases)})")
        times = np.empty((len(made), rounds, each))
        for turn in range(rounds):
            for row, timer in enumerate(made):
                timer.time(1)  # the others have emptied the caches
                times[row, turn] = timer.time(each)
            progress(f"measured turn {turn + 1} of {rounds}")
        return [
            _latency(name, case, timer, 1e3 * own, 1e3 * times[0])
            for (name, case), timer, own in zip(cases.items(), made, times, strict=True)
        ]


def table(rows: list[Latency]) -> str:
    """Returns measurements as a table for the terminal."""
    lines = [
        (
            "",
            "runtime",
            "threads",
            "batch",
            "MACs",
            "bytes",
            "ms",
            "10-90 %",
            "ratio",
            "",
        )
    ]
    for row in rows:
        how = [row.runtime, row.quantize, row.optimize]
        lines.append(
            (
                row.name,
                " ".join(filter(None, how)),
                str(row.threads),
                str(row.batch_size),
                "" if row.macs is None else f"{row.macs:,}",
                "" if row.file_size is None else f"{row.file_size:,}",
                f"{row.median_ms:.3f}",
                f"{row.p10_ms:.3f}-{row.p90_ms:.3f}",
                f"{row.ratio:.3f}",
                f"({row.ratio_low:.3f}-{row.ratio_high:.3f})",
            )
        )
    return "\n".join(
        [
            format_table(lines[0], lines[1:], left=2),
            f"{rows[0].processor}; {rows[0].versions}",
        ]
    )


def write_csv(rows: list, path: str | os.PathLike) -> None:
    """Writes dataclass instances as a CSV file, whole or not at all."""
    files.write_csv(path, list(map(dataclasses.asdict, rows)))


def processor() -> str:
    """Returns the name of the CPU and how many of it this process may use."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {os.cpu_count()} CPUs"


def versions() -> str:
    """Returns the versions of the packages that latency depends on."""
    found = []
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)


def _latency(name, case, timer, times, first) -> Latency:
    ratios = np.median(times, axis=1) / np.median(first, axis=1)
    return Latency(
        name=case.label or name,
        runtime=case.runtime,
        quantize=case.quantize,
        optimize=_joined(case.optimize),
        threads=case.threads,
        batch_size=case.batch_size,
        median_ms=float(np.median(times)),
        p10_ms=float(np.percentile(times, 10)),
        p90_ms=float(np.percentile(times, 90)),
        runs=times.size,
        ratio=float(np.median(ratios)),
        ratio_low=float(ratios.min()),
        ratio_high=float(ratios.max()),
        macs=timer.macs,
        file_size=timer.file_size,
        processor=processor(),
        versions=versions(),
    )


def _joined(names) -> str | None:
    return names if names is None or isinstance(names, str) else ",".join(names)
