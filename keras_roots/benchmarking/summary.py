"""LiteRT's profile summaries: their lines, and the operations that these stand for."""

import collections
import dataclasses
import re
from collections.abc import Sequence

from keras_roots.export import Operation


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of a summary of one call of a network: a kernel that ran.

    LiteRT runs a network on its delegate part by part, where it cannot do so in one go,
    and adds up kernels of one name that have one index in different parts.

    Attributes:
        kernel: Name of the kernel; LiteRT's of the operation off the delegate.
        delegated: Whether it ran on XNNPACK, the CPU delegate.
        index: Its position: within the part, or off the delegate within the file.
        calls: How often it ran.
        first_ms: Milliseconds of the first time.
        other_ms: Mean of the other times.
    """

    kernel: str
    delegated: bool
    index: int
    calls: int
    first_ms: float
    other_ms: float


@dataclasses.dataclass(frozen=True)
class Match:
    """A kernel that ran, and what it computed.

    Attributes:
        line: Position of its line.
        first: Whether it is the first of those in the line.
        operation: The operation of the file, `None` where there is none.
    """

    line: int
    first: bool
    operation: Operation | None


# Node type, start, first time, mean time, %, cumulative %, memory, calls, name:index.
_ROW = re.compile(
    r"\s*(Delegate/)?(\S.*?)\s+[\d.]+\s+([\d.]+)\s+([\d.]+)\s+[\d.]+%\s+[\d.]+%"
    r"\s+[\d.]+\s+(\d+)\s+\[.*\]:(\d+)"
)


def parse_summary(text: str) -> list[Line]:
    """Returns the lines of LiteRT's summary of one call, in the order of the kernels.

    Raises:
        ValueError: It has none.
    """
    section = text.partition("Run Order")[2].partition("Top by")[0]
    lines = []
    for row in section.splitlines():
        match = _ROW.fullmatch(row)
        if match is None:
            continue
        delegate, kernel, first, mean, calls, index = match.groups()
        first_ms, calls = float(first), int(calls)
        others = max(0.0, calls * float(mean) - first_ms) / max(1, calls - 1)
        lines.append(Line(kernel, bool(delegate), int(index), calls, first_ms, others))
    if not lines:
        raise ValueError(
            f"its summary lists no operations but reads {text.strip()[:200]!r}"
        )
    return lines


def match(lines: Sequence[Line], operations: Sequence[Operation]) -> list[Match]:
    """Returns what ran, in order, and the operations of the file that it stands for.

    XNNPACK leaves operations out, fuses some and adds kernels of its own, but keeps to
    the order within a part; so kernels go to operations by kind and order, as many as
    possible.

    Args:
        lines: Lines of a summary.
        operations: Operations of the file.
    """
    own = {line.index for line in lines if not line.delegated}
    unread = collections.deque(range(len(lines)))
    spare = {number: line.calls - 1 for number, line in enumerate(lines)}
    found: list[Match] = []
    for delegated, positions in _turns(operations, own):
        here = [operations[position] for position in positions]
        if delegated:
            part = _take_part(lines, unread, spare, here)
        else:
            part = _take_own(lines, unread, len(here))
        computed = _align([lines[number] for number, _ in part], here)
        found += [
            Match(number, first, operation)
            for (number, first), operation in zip(part, computed, strict=True)
        ]
    left = [(number, True) for number in unread]
    left += [(number, False) for number in spare for _ in range(spare[number])]
    return found + [Match(number, first, None) for number, first in left]


def _turns(operations, own) -> list[tuple[bool, list[int]]]:
    """Returns what LiteRT runs on the delegate or off it in one go, in turns.

    The delegate takes all that it can before the first operation off it (`own`) must
    run, and so on, so that branches of a network change places.
    """
    turns = []
    waiting = list(range(len(operations)))
    while waiting:
        delegated = waiting[0] not in own
        taken, left = [], []
        for position in waiting:
            ready = set(operations[position].sources).isdisjoint(left)
            runs = ready and delegated == (position not in own)
            (taken if runs else left).append(position)
        turns.append((delegated, taken))
        waiting = left
    return turns


def _take_part(lines, unread, spare, here) -> list[tuple[int, bool]]:
    """Takes the kernels of a part off the lines, one for each index.

    An index has a new line, unless its kernel was added to an earlier one, from which
    it comes back. Where both may be, the kernel whose operation comes next is meant.

    Args:
        lines: All lines.
        unread: Positions of those of which none was taken; changes.
        spare: How many of each were added to its first; changes.
        here: Operations of the part.

    Returns:
        Positions of lines, and whether each is the first of its line.
    """
    part: list[tuple[int, bool]] = []
    waiting = list(here)
    while True:
        added = [
            number
            for number, count in spare.items()
            if count and number not in unread and lines[number].index == len(part)
        ]
        new = [
            number
            for number in list(unread)[:1]
            if lines[number].delegated and lines[number].index == len(part)
        ]
        if not waiting:
            # Those are of later parts; new lines are not, but XNNPACK's own additions.
            added = []
        if not new + added:
            return part

        def ahead(number):
            """How many operations would be left out, and whether it is a makeshift."""
            fits = (i for i, each in enumerate(waiting) if _runs(lines[number], each))
            skipped = min(next(fits, _FAR), _FAR)
            product = skipped < _FAR and _is_product(waiting[skipped])
            return skipped, product and lines[number].kernel.startswith("Convolution")

        best = min(new + added, key=ahead)
        skipped, _ = ahead(best)
        if skipped < _FAR:
            del waiting[: skipped + 1]
        part.append((best, best in new))
        if best in new:
            unread.popleft()
        else:
            spare[best] -= 1


# More operations than XNNPACK leaves out in a row.
_FAR = 4


def _take_own(lines, unread, count) -> list[tuple[int, bool]]:
    """Takes at most `count` kernels that ran off the delegate, as `_take_part` does."""
    part = []
    while unread and not lines[unread[0]].delegated and len(part) < count:
        part.append((unread.popleft(), True))
    return part


def _align(lines, operations) -> list[Operation | None]:
    """Returns the operation of each line, in order, of as many as there can be."""
    rows, columns = len(lines), len(operations)
    fits = [[_runs(line, operation) for operation in operations] for line in lines]
    most = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            with_both = fits[i][j] + most[i + 1][j + 1] if fits[i][j] else 0
            most[i][j] = max(most[i + 1][j], most[i][j + 1], with_both)
    found: list[Operation | None] = [None] * rows
    i = j = 0
    while i < rows and j < columns:
        if fits[i][j] and most[i][j] == 1 + most[i + 1][j + 1]:
            found[i] = operations[j]
            i, j = i + 1, j + 1
        elif most[i][j] == most[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


# Operations that XNNPACK's kernels run, where the names differ by more than writing.
_KERNELS = {
    "Add": ("ADD",),
    "ApproxGELU": ("GELU",),
    "Average Pooling": ("AVERAGE_POOL_2D",),
    "Batch Matrix Multiply": ("BATCH_MATMUL",),
    "Clamp": ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"),
    "Constant Pad": ("PAD", "PADV2"),
    "Convert": ("QUANTIZE", "DEQUANTIZE", "CAST"),
    "Convolution": ("CONV_2D", "DEPTHWISE_CONV_2D"),
    "Copy": ("CONCATENATION", "SPLIT"),
    "Deconvolution": ("TRANSPOSE_CONV",),
    "Divide": ("DIV",),
    "Dynamic Fully Connected": ("FULLY_CONNECTED",),
    "Fully Connected": ("FULLY_CONNECTED", "CONV_2D"),
    "Max Pooling": ("MAX_POOL_2D",),
    "Multiply": ("MUL",),
    "Negate": ("NEG",),
    "Reciprocal Square Root": ("RSQRT",),
    "Sigmoid": ("LOGISTIC",),
    "Slice": ("SLICE", "STRIDED_SLICE", "SPLIT"),
    "Square": ("SQUARE", "MUL"),
    "Square Root": ("SQRT",),
    "Static Expand Dims": ("EXPAND_DIMS",),
    "Static Reshape": ("RESHAPE", "SQUEEZE"),
    "Subtract": ("SUB",),
}


def _runs(line, operation) -> bool:
    """Tells whether a kernel may be that of an operation."""
    if not line.delegated:
        return _plain(line.kernel.partition("/")[0]) == _plain(operation.name)
    base = line.kernel.partition(" (")[0]
    if base not in _KERNELS:
        return _plain(base) == _plain(operation.name)
    if operation.name not in _KERNELS[base]:
        return False
    product = (base, operation.name) == ("Fully Connected", "CONV_2D")
    return not product or _is_product(operation)


def _is_product(operation) -> bool:
    """Tells whether a convolution is a matrix product, and XNNPACK may run it so."""
    return (
        operation.name == "CONV_2D"
        and operation.kernel_shape[1:3] == (1, 1)
        and operation.groups == 1
        and operation.strides == (1, 1)
    )


def _plain(name) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())
