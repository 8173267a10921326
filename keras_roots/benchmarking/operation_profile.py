"""Where the time of a LiteRT file goes, operation by operation."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Mapping

import numpy as np

from keras_roots import export
from keras_roots.benchmarking import comparison, operation_lines
from keras_roots.benchmarking.operation_worker import Worker
from keras_roots.export import Operation, read_operations
from keras_roots.utils import format_table


@dataclasses.dataclass(frozen=True)
class OperationTime:
    """Time of one kernel within a call of the network.

    Attributes:
        kernel: Name of the kernel as XNNPACK, the CPU delegate, tells it; LiteRT's name
            of the operation where that did not run on XNNPACK.
        delegated: Whether it ran on XNNPACK.
        ms: Median time in milliseconds, in steps of a thousandth. Of kernels that
            LiteRT tells only the sum of (see `operation_lines`), an equal part.
        share: Part, 0 to 1, of the time of all operations.
        operation: What it computes, `None` for what XNNPACK adds of its own.
    """

    kernel: str
    delegated: bool
    ms: float
    share: float
    operation: Operation | None

    @property
    def kind(self) -> str:
        """Kind of the operation, else name of the kernel without its types."""
        if self.operation is None:
            return self.kernel.partition(" (")[0]
        return self.operation.kind

    @property
    def macs(self) -> int:
        """Multiply-adds of one call."""
        return 0 if self.operation is None else self.operation.macs


@dataclasses.dataclass(frozen=True)
class FileProfile:
    """Time of the operations of a LiteRT file; prints as two tables.

    Attributes:
        name: Name of the file.
        operations: What ran, in its order.
        call_ms: Median time of a whole call that is not profiled, in milliseconds.
        threads: Number of threads.
        runs: Number of calls profiled, and of calls timed as a whole.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    name: str
    operations: tuple[OperationTime, ...]
    call_ms: float
    threads: int
    runs: int
    processor: str
    versions: str

    @property
    def ms(self) -> float:
        """Time of all operations in milliseconds."""
        return sum(each.ms for each in self.operations)

    @property
    def macs(self) -> int:
        """Multiply-adds of one call."""
        return sum(each.macs for each in self.operations)

    @property
    def undelegated(self) -> tuple[OperationTime, ...]:
        """What did not run on XNNPACK, the CPU delegate."""
        return tuple(each for each in self.operations if not each.delegated)

    def kinds(self) -> list[tuple[str, tuple[OperationTime, ...]]]:
        """Returns the operations by kind, the kind that takes longest first."""
        names = dict.fromkeys(each.kind for each in self.operations)
        found = [
            (name, tuple(each for each in self.operations if each.kind == name))
            for name in names
        ]
        return sorted(found, key=lambda kind: -sum(each.ms for each in kind[1]))

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.name}: {self.call_ms:.3f} ms a call, {self.ms:.3f} ms in its "
                f"operations; threads {self.threads}, medians of {self.runs} calls",
                "",
                self._operation_table(),
                "",
                self.kind_table(),
                f"{self.processor}; {self.versions}",
            ]
        )

    def _operation_table(self) -> str:
        header = ("operation", "layer", "kernel", "input", "weights", "output")
        rows = [
            (
                each.kind,
                each.operation.layer if each.operation else "",
                each.kernel if each.delegated else "not on XNNPACK",
                *_shapes(each.operation),
                str(each.operation.groups) if each.macs else "",
                *_cost([each], self.ms),
            )
            for each in self.operations
        ]
        return format_table(
            (*header, "groups", *_COST),
            rows,
            ("total", *("" for _ in header), *_cost(self.operations, self.ms)),
            left=3,
        )

    def kind_table(self) -> str:
        """Returns the second table: time by kind of operation."""
        rows = [
            (name, str(len(each)), *_cost(each, self.ms)) for name, each in self.kinds()
        ]
        return format_table(
            ("kind", "count", *_COST),
            rows,
            ("total", str(len(self.operations)), *_cost(self.operations, self.ms)),
            left=1,
        )


def profile_file(
    file: str | os.PathLike, threads: int = 1, runs: int = 20, warmup: int = 5
) -> FileProfile:
    """Measures how long each operation of a LiteRT file takes, in place.

    LiteRT's own profiler takes the time of every kernel while the whole network runs on
    XNNPACK, its CPU delegate, so that caches and memory are as they are in use. XNNPACK
    leaves operations out, fuses them and adds some: kernels and operations of the file
    are brought together by kind and order. To compare files use `profile_files`.

    Args:
        file: Path of a `.tflite` file.
        threads: Number of threads.
        runs: Profiled calls, and as many that are timed as a whole.
        warmup: Calls before them.

    Returns:
        A `FileProfile`: `.operations`, `.ms`, `.call_ms`, `.undelegated`, `.kinds()`,
        and two tables when printed.

    Raises:
        ValueError: An argument is impossible, the file is no LiteRT file, or the
            installed version of LiteRT cannot profile it.
        FileNotFoundError: There is no such file.
        ImportError: ai-edge-litert is not installed.

    Example:
        >>> print(profile_file("root_nin_8.tflite"))
    """
    name = os.path.basename(os.fspath(file))
    return profile_files({name: file}, threads, runs, warmup)[0]


def profile_files(
    files: Mapping[str, str | os.PathLike],
    threads: int = 1,
    runs: int = 20,
    warmup: int = 5,
    *,
    rounds: int = 5,
    progress: Callable[[str], None] = lambda line: None,
) -> list[FileProfile]:
    """Profiles LiteRT files in turns, A B A B, so that they share the machine's moods.

    Args:
        files: Paths of `.tflite` files, by name.
        threads: As for `profile_file`.
        runs: As for `profile_file`, at least.
        warmup: As for `profile_file`.
        rounds: Turns of each.
        progress: Called with a line of text after each step.

    Returns:
        A `FileProfile` for each, in order.

    Raises:
        ValueError: As for `profile_file`.
        FileNotFoundError: There is no such file.
        ImportError: ai-edge-litert is not installed.
    """
    for name, value, least in (
        ("files", len(files), 1),
        ("threads", threads, 1),
        ("runs", runs, 1),
        ("warmup", warmup, 0),
        ("rounds", rounds, 1),
    ):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {value!r}")
    export.require_litert()
    operations = [read_operations(os.fspath(file)) for file in files.values()]
    each = math.ceil(runs / rounds)
    with contextlib.ExitStack() as stack:
        workers = []
        for name, file in files.items():
            workers.append(stack.enter_context(Worker(file, threads)))
            workers[-1].ask("time", warmup)
            progress(f"loaded {name} ({len(workers)} of {len(files)})")
        calls: list[list[float]] = [[] for _ in workers]
        lines: list[list[list[operation_lines.Line]]] = [[] for _ in workers]
        for turn in range(rounds):
            for row, worker in enumerate(workers):
                worker.ask("time", 1)  # the others have emptied the caches
                calls[row] += worker.ask("time", each)
                lines[row] += worker.profile(each)
            progress(f"profiled turn {turn + 1} of {rounds}")
    return [
        FileProfile(
            name=name,
            operations=_times(lines[row], operations[row]),
            call_ms=1e3 * float(np.median(calls[row])),
            threads=threads,
            runs=len(calls[row]),
            processor=comparison.processor(),
            versions=comparison.versions(),
        )
        for row, name in enumerate(files)
    ]


def _times(runs, operations) -> tuple[OperationTime, ...]:
    """Returns the median times of what ran, and what it computes."""
    found = operation_lines.match(runs[0], operations)
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


_COST = ("MACs", "ms", "share", "MMACs/ms")


def _cost(operations, total) -> tuple[str, ...]:
    ms = sum(each.ms for each in operations)
    macs = sum(each.macs for each in operations)
    return (
        f"{macs:,}" if macs else "",
        f"{ms:.3f}",
        f"{ms / max(total, 1e-9):.1%}",
        f"{1e-6 * macs / ms:,.1f}" if macs and ms else "",
    )


def _shapes(operation) -> tuple[str, str, str]:
    if operation is None:
        return "", "", ""
    shapes = operation.input_shape, operation.kernel_shape, operation.output_shape
    return tuple("" if shape is None else "x".join(map(str, shape)) for shape in shapes)
