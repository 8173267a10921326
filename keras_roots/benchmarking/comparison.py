"""Latency of models and exported files, measured side by side."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_roots import utils
from keras_roots.benchmarking import timers
from keras_roots.benchmarking.cases import Case, check_case, named_cases
from keras_roots.benchmarking.machine import processor, versions
from keras_roots.utils import checks, format_table

_LOADS = 3


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
        load_ms: Time from opening the file to the first result, in a process of its own
            that has imported the runtime. Like the next two the median of three, and
            `None` if not measured.
        memory_mb: Resident memory that loading and running adds to that process at its
            peak, in megabytes (10^6 bytes).
        peak_mb: Resident memory of that whole process at its peak.
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
    load_ms: float | None
    memory_mb: float | None
    peak_mb: float | None
    processor: str
    versions: str

    def __str__(self) -> str:
        return format_latencies([self])


def benchmark(
    target,
    runtime: str = "litert",
    threads: int = 1,
    batch_size: int = 1,
    *,
    warmup: int = 5,
    runs: int = 50,
    input_shape: Sequence[int] | None = None,
    quantize: str | None = None,
    optimize: str | None = None,
    memory: bool = False,
    trust: bool = False,
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
        memory: As for `compare`.
        trust: As for `Case`.

    Returns:
        A `Latency`; prints as a table.

    Raises:
        ValueError: An argument is impossible or does not fit the target.
        FileNotFoundError: There is no such file.
        ImportError: The runtime is not installed.

    Example:
        >>> benchmark(keras_roots.RootNiN(root=8), quantize="int8").median_ms
    """
    case = Case(
        target,
        runtime,
        threads,
        batch_size,
        input_shape,
        quantize,
        optimize,
        trust=trust,
    )
    check_case(case)
    name = getattr(target, "name", None) or os.path.basename(os.path.normpath(target))
    return compare({name: case}, warmup=warmup, runs=runs, memory=memory)[0]


def compare(
    targets: Mapping[str, Case | keras.Model | str | os.PathLike],
    *,
    warmup: int = 5,
    runs: int = 50,
    rounds: int = 5,
    memory: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Latency]:
    """Measures networks in turns, A B A B, under the same load of the machine.

    Args:
        targets: What to measure, by name: a `Case`, or a target for a `Case` with its
            defaults.
        warmup: Calls of each before the first timed one.
        runs: Timed calls of each, at least.
        rounds: Turns of each.
        memory: Whether to measure also memory and load time, in processes that load
            one network each.
        progress: Called with a line of text after each step.

    Returns:
        A `Latency` for each, in order; `format_latencies` and `write_csv` show them.

    Raises:
        ValueError: An argument is impossible or does not fit a target.
        FileNotFoundError: There is no such file.
        ImportError: A runtime is not installed.
    """
    checks.integer("warmup", warmup, least=0)
    checks.integer("runs", runs)
    checks.integer("rounds", rounds)
    checks.boolean("memory", memory)
    checks.function("progress", progress, "line")
    cases = named_cases(targets)
    each = math.ceil(runs / rounds)
    with contextlib.ExitStack() as stack:
        made = []
        for name, case in cases.items():
            made.append(timers.make_timer(case, stack))
            made[-1].time(warmup)
            slow = _undelegated(made[-1].undelegated)
            progress(f"loaded {case.label or name} ({len(made)} of {len(cases)}){slow}")
        loads = []
        for turn in range(_LOADS if memory else 0):
            loads.append([timer.load() for timer in made])
            progress(f"measured memory and load time {turn + 1} of {_LOADS}")
        times = np.empty((len(made), rounds, each))
        for turn in range(rounds):
            for row, timer in enumerate(made):
                timer.time(1)  # the others have emptied the caches
                times[row, turn] = timer.time(each)
            progress(f"measured turn {turn + 1} of {rounds}")
        return [
            Latency(
                **_how(name, case),
                **_times(1e3 * times[row], 1e3 * times[0]),
                macs=timer.macs,
                file_size=timer.file_size,
                **_load([turn[row] for turn in loads]),
                processor=processor(),
                versions=versions(case.runtime for case in cases.values()),
            )
            for row, ((name, case), timer) in enumerate(
                zip(cases.items(), made, strict=True)
            )
        ]


def format_latencies(rows: list[Latency]) -> str:
    """Returns measurements, one or more, as a table for the terminal.

    Raises:
        ValueError: There are none.
    """
    rows = checks.collection("rows", rows, "a measurement or more", Latency)
    header = ["", "runtime", "threads", "batch", "MACs", "bytes"]
    header += ["ms", "10-90 %", "ratio", ""]
    measured = [
        (heading, field, form)
        for heading, field, form in _LOAD_COLUMNS
        if any(getattr(row, field) is not None for row in rows)
    ]
    lines = []
    for row in rows:
        how = [row.runtime, row.quantize, row.optimize]
        lines.append(
            [
                row.name,
                " ".join(filter(None, how)),
                str(row.threads),
                str(row.batch_size),
                _text(row.macs, ","),
                _text(row.file_size, ","),
                f"{row.median_ms:.3f}",
                f"{row.p10_ms:.3f}-{row.p90_ms:.3f}",
                f"{row.ratio:.3f}",
                f"({row.ratio_low:.3f}-{row.ratio_high:.3f})",
                *(_text(getattr(row, field), form) for _, field, form in measured),
            ]
        )
    return "\n".join(
        [
            format_table([*header, *(each[0] for each in measured)], lines, left=2),
            f"{rows[0].processor}; {rows[0].versions}",
        ]
    )


def write_csv(rows: list, path: str | os.PathLike) -> None:
    """Writes dataclass instances as a CSV file, whole or not at all.

    Raises:
        ValueError: There are none, they are something else, or `path` is no path.
        OSError: The file cannot be written.
    """
    path = checks.path("path", path, required=True)
    rows = checks.collection("rows", rows, "a list of measurements")
    if not all(map(dataclasses.is_dataclass, rows)):
        raise ValueError(
            f"`rows` must be instances of dataclasses. Received: rows={rows!r}"
        )
    utils.write_csv(path, list(map(dataclasses.asdict, rows)))


# Heading, field and format.
_LOAD_COLUMNS = (
    ("load ms", "load_ms", ".1f"),
    ("+ MB", "memory_mb", ".1f"),
    ("peak MB", "peak_mb", ".1f"),
)


def _how(name, case) -> dict:
    return {
        "name": case.label or name,
        "runtime": case.runtime,
        "quantize": case.quantize,
        "optimize": case.rewrites,
        "threads": case.threads,
        "batch_size": case.batch_size,
    }


def _times(times, first) -> dict:
    ratios = np.median(times, axis=1) / np.median(first, axis=1)
    return {
        "median_ms": float(np.median(times)),
        "p10_ms": float(np.percentile(times, 10)),
        "p90_ms": float(np.percentile(times, 90)),
        "runs": times.size,
        "ratio": float(np.median(ratios)),
        "ratio_low": float(ratios.min()),
        "ratio_high": float(ratios.max()),
    }


def _load(loads) -> dict:
    """Returns the medians of what loading took, each `None` if that is not known."""
    medians = {}
    for field in dataclasses.fields(timers.Load):
        values = [getattr(load, field.name) for load in loads]
        known = values and None not in values
        medians[field.name] = float(np.median(values)) if known else None
    return medians


def _undelegated(operations) -> str:
    counts = [f"{count} {name}" for name, count in (operations or {}).items()]
    return f"; not on the CPU delegate: {', '.join(counts)}" if counts else ""


def _text(value, form) -> str:
    return "" if value is None else format(value, form)
