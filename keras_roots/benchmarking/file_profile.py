"""The times of the operations of a LiteRT file, as tables and as rows."""

import dataclasses

from keras_roots.export import Operation
from keras_roots.utils import checks, format_table


@dataclasses.dataclass(frozen=True)
class OperationTime:
    """Time of one kernel within a call of the network.

    Attributes:
        kernel: Name of the kernel as XNNPACK, the CPU delegate, gives it; LiteRT's name
            of the operation where that did not run on XNNPACK.
        delegated: Whether it ran on XNNPACK.
        ms: Median time in milliseconds, in steps of a thousandth. Of kernels of which
            LiteRT gives only the sum (see `summary`), an equal part.
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
class OperationRow:
    """Time of one operation, for a CSV file.

    Attributes:
        name: Name of the network or file.
        quantize: As in `Case`.
        optimize: As in `Case`, joined by commas.
        threads: Number of threads.
        batch_size: Images per call of a network; files have their own.
        position: Position among what ran.
        operation: LiteRT's name of the operation; empty, like all that follows from it,
            for what XNNPACK adds of its own.
        layer: Name of its layer.
        kernel: As in `OperationTime`, like the rest.
        delegated: Whether it ran on XNNPACK.
        input_shape: Shapes are written as 1x8x8x64.
        kernel_shape: Filters, height, width and input channels per group.
        output_shape: Shape of its output.
        strides: Along height and width.
        groups: Filter groups.
        macs: Multiply-adds of a call.
        weight_bytes: Bytes of its constants.
        ms: Median time in milliseconds.
        share: Part of the time of all operations of the file.
        call_ms: Median time of a whole call.
        runs: Calls profiled.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    name: str
    quantize: str | None
    optimize: str | None
    threads: int
    batch_size: int
    position: int
    operation: str
    layer: str
    kernel: str
    delegated: bool
    input_shape: str
    kernel_shape: str
    output_shape: str
    strides: str
    groups: int | None
    macs: int
    weight_bytes: int | None
    ms: float
    share: float
    call_ms: float
    runs: int
    processor: str
    versions: str


@dataclasses.dataclass(frozen=True)
class FileProfile:
    """Time of the operations of a LiteRT file; prints as two tables.

    Attributes:
        name: Name of the network or file.
        quantize: As in `Case`; `None` for files, which do not tell.
        optimize: As in `Case`, joined by commas.
        threads: Number of threads.
        batch_size: Images per call of a network; files have their own.
        operations: What ran, in its order.
        call_ms: Median time of a whole call that is not profiled, in milliseconds.
        runs: Number of calls profiled, and of calls timed as a whole.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    name: str
    quantize: str | None
    optimize: str | None
    threads: int
    batch_size: int
    operations: tuple[OperationTime, ...]
    call_ms: float
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

    def rows(self) -> list[OperationRow]:
        """Returns a row for each operation, in order."""
        return [self._row(position) for position in range(len(self.operations))]

    def _row(self, position):
        time = self.operations[position]
        operation = time.operation
        own = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "operations"
        }
        return OperationRow(
            **own,
            position=position,
            operation=operation.name if operation else "",
            layer=operation.layer if operation else "",
            kernel=time.kernel,
            delegated=time.delegated,
            input_shape=_shape(operation and operation.input_shape),
            kernel_shape=_shape(operation and operation.kernel_shape),
            output_shape=_shape(operation and operation.output_shape),
            strides=_shape(operation and operation.strides),
            groups=operation and operation.groups,
            macs=time.macs,
            weight_bytes=operation and operation.weight_bytes,
            ms=time.ms,
            share=time.share,
        )

    def __str__(self) -> str:
        title = " ".join(filter(None, [self.name, self.quantize, self.optimize]))
        return "\n".join(
            [
                f"{title}: {self.call_ms:.3f} ms a call, {self.ms:.3f} ms in its "
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
                row.layer,
                each.kernel if each.delegated else "not on XNNPACK",
                row.input_shape,
                row.kernel_shape,
                row.output_shape,
                str(row.groups) if each.macs else "",
                *_cost([each], self.ms),
            )
            for each, row in zip(self.operations, self.rows(), strict=True)
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


def format_profiles(profiles: list[FileProfile]) -> str:
    """Returns the tables of several profiles for the terminal.

    Raises:
        ValueError: There are none, or they are something else.
    """
    profiles = checks.collection("profiles", profiles, "a profile or more", FileProfile)
    return "\n\n\n".join(map(str, profiles))


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


def _shape(shape) -> str:
    return "" if shape is None else "x".join(map(str, shape))
