"""Where the time of LiteRT files goes, operation by operation."""

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping

import keras
import numpy as np

from keras_roots import export
from keras_roots.benchmarking import litert_interface, summary
from keras_roots.benchmarking.cases import Case, find_model, named_cases
from keras_roots.benchmarking.file_profile import FileProfile, OperationTime
from keras_roots.benchmarking.machine import processor, versions
from keras_roots.export import read_operations
from keras_roots.utils import Worker, checks

_TESTED = "2.2 and 2.3"  # versions of ai-edge-litert


def profile_file(
    file: str | os.PathLike, threads: int = 1, runs: int = 20, warmup: int = 5
) -> FileProfile:
    """Measures how long each operation of a LiteRT file takes, in place.

    LiteRT's own profiler takes the time of every kernel while the whole network runs on
    XNNPACK, its CPU delegate, so that caches and memory are as they are in use. XNNPACK
    leaves operations out, fuses them and adds some: kernels and operations of the file
    are matched by kind and order. To compare files use `profile_cases`.

    Args:
        file: Path of a `.tflite` file.
        threads: Number of threads.
        runs: Profiled calls, and as many that are timed as a whole.
        warmup: Calls before them.

    Returns:
        A `FileProfile`: `.operations`, `.ms`, `.call_ms`, `.undelegated`, `.kinds()`,
        `.rows()`, and two tables when printed.

    Raises:
        ValueError: An argument is impossible, the file is no LiteRT file, or the
            installed version of LiteRT cannot profile it.
        FileNotFoundError: There is no such file.
        ImportError: ai-edge-litert is not installed.

    Example:
        >>> print(profile_file("root_nin_8.tflite"))
    """
    file = checks.path("file", file, required=True)
    export.require_litert()
    if not os.path.isfile(file):
        raise FileNotFoundError(f"`file` is missing: no LiteRT file {file!r}")
    name = os.path.basename(file)
    case = Case(file, threads=threads)
    return profile_cases({name: case}, runs=runs, warmup=warmup)[0]


def profile_cases(
    targets: Mapping[str, Case | keras.Model | str | os.PathLike],
    *,
    runs: int = 20,
    warmup: int = 5,
    rounds: int = 5,
    progress: Callable[[str], None] = lambda line: None,
) -> list[FileProfile]:
    """Profiles networks and files on LiteRT, those of one number of threads in turns.

    Turns, A B A B, put all under the same load of the machine.

    Args:
        targets: What to profile, by name: a `Case`, or a target for a `Case` with its
            defaults.
        runs: Profiled calls of each, at least, and as many that are timed as a whole.
        warmup: Calls of each before them.
        rounds: Turns of each.
        progress: Called with a line of text after each step.

    Returns:
        A `FileProfile` for each, in order.

    Raises:
        ValueError: As for `profile_file`, or a case is for another runtime.
        FileNotFoundError: There is no such file.
        ImportError: ai-edge-litert is not installed.
    """
    checks.integer("runs", runs)
    checks.integer("warmup", warmup, least=0)
    checks.integer("rounds", rounds)
    checks.function("progress", progress, "line")
    export.require_litert()
    cases = named_cases(targets)
    _check_runtimes(cases)
    found: dict[str, FileProfile] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for index, (name, case) in enumerate(cases.items()):
            files[name] = _file(case, os.path.join(folder, f"{index}.tflite"))
            progress(f"prepared {case.label or name} ({len(files)} of {len(cases)})")
        for threads in dict.fromkeys(case.threads for case in cases.values()):
            own = {n: case for n, case in cases.items() if case.threads == threads}
            found |= _profiles(own, files, runs, warmup, rounds, progress)
    return [found[name] for name in cases]


def _check_runtimes(cases):
    for name, case in cases.items():
        if case.runtime != "litert":
            raise ValueError(
                "`runtime` must be 'litert': other runtimes give no profile. "
                f"Received: runtime={case.runtime!r} for {case.label or name!r}"
            )


def _file(case, path) -> str:
    """Returns the path of a case's LiteRT file, written to `path` if there is none."""
    model = find_model(case)
    if model is None:
        return os.fspath(case.target)
    export.write_for_timing(model, path, case.quantize, case.optimize, case.batch_size)
    return path


def _profiles(cases, files, runs, warmup, rounds, progress) -> dict[str, FileProfile]:
    """Profiles cases with one number of threads, in turns."""
    operations = {name: read_operations(files[name]) for name in cases}
    each = math.ceil(runs / rounds)
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, case in cases.items():
            process = Process(files[name], case.threads)
            processes[name] = stack.enter_context(contextlib.closing(process))
            process.time(warmup)
            label = case.label or name
            progress(f"loaded {label} ({len(processes)} of {len(cases)})")
        calls: dict[str, list[float]] = {name: [] for name in cases}
        lines: dict[str, list[list[summary.Line]]] = {name: [] for name in cases}
        for turn in range(rounds):
            for name, process in processes.items():
                process.time(1)  # the others have emptied the caches
                calls[name] += process.time(each)
                lines[name] += process.profile(each)
            progress(f"profiled turn {turn + 1} of {rounds}")
    return {
        name: FileProfile(
            name=case.label or name,
            quantize=case.quantize,
            optimize=case.rewrites,
            threads=case.threads,
            batch_size=case.batch_size,
            operations=_times(lines[name], operations[name]),
            call_ms=1e3 * float(np.median(calls[name])),
            runs=len(calls[name]),
            processor=processor(),
            versions=versions(),
        )
        for name, case in cases.items()
    }


class Process:
    """A process that profiles one LiteRT file.

    Args:
        file: Path of the file.
        threads: Number of threads.

    Raises:
        ValueError: The process ends, or its summaries are not as expected; from its
            methods too.
    """

    def __init__(self, file: str, threads: int):
        self._file = file
        self._kernels = None
        with self._explained():
            self._worker = Worker(litert_interface.__file__, file=file, threads=threads)

    def time(self, count: int) -> list[float]:
        """Returns the seconds that each of `count` calls takes."""
        with self._explained():
            return self._worker.ask("time", count)

    def profile(self, count: int) -> list[list[summary.Line]]:
        """Returns the kernels that run in each of `count` calls."""
        with self._explained():
            texts = self._worker.ask("profile", count)
            runs = [summary.parse_summary(text) for text in texts]
            for lines in runs:
                kernels = [(line.kernel, line.index, line.calls) for line in lines]
                self._kernels = self._kernels or kernels
                if kernels != self._kernels:
                    raise ValueError("its summaries differ in their operations")
        return runs

    def close(self) -> None:
        """Ends the process."""
        self._worker.close()

    @contextlib.contextmanager
    def _explained(self):
        try:
            yield
        except ValueError as error:
            import ai_edge_litert

            version = getattr(ai_edge_litert, "__version__", "unknown")
            raise ValueError(
                f"LiteRT cannot profile the file {self._file!r}: {error}. Profiles "
                f"work with ai-edge-litert {_TESTED}. Received: version {version}"
            ) from error


def _times(runs, operations) -> tuple[OperationTime, ...]:
    """Returns the median times of what ran, and what it computes."""
    found = summary.match(runs[0], operations)
    every = [
        [
            lines[each.line].first_ms if each.first else lines[each.line].other_ms
            for each in found
        ]
        for lines in runs
    ]
    times = np.median(every, axis=0)
    total = max(times.sum(), 1e-9)
    return tuple(
        OperationTime(
            kernel=runs[0][each.line].kernel,
            delegated=runs[0][each.line].delegated,
            ms=float(ms),
            share=float(ms / total),
            operation=each.operation,
        )
        for each, ms in zip(found, times, strict=True)
    )
