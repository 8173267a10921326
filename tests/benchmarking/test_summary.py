import pytest

from keras_roots.benchmarking.summary import Line, match, parse_summary
from keras_roots.export.operations import Operation

CONVOLUTION = "Convolution (NHWC, QC8) IGEMM"
PRODUCT = "Fully Connected (NC, QS8, QC8W) GEMM"
COPY = "Copy (NC, X8)"


def _summary(*rows):
    """LiteRT 2.3's text for (kernel, name, first, mean, calls)."""
    lines = [
        f"{kernel:>60} {0:10.3f} {first:10.3f} {mean:10.3f} {1:9.3f}% {2:9.3f}% "
        f"{0:10.3f} {calls:14d}   {name}"
        for kernel, name, first, mean, calls in rows
    ]
    header = f"{'[node type]':>60} {'[start]':>10} [...] [times called]   [Name]"
    return "\n".join(
        [
            "=== Run Order ===",
            header,
            *lines,
            "",
            "=== Top by Computation Time ===",
            header,
            *reversed(lines),
            "=== Delegate Statistics ===",
            f"Delegate/{COPY}     1      9.00        9        9        9",
        ]
    )


def test_lines_are_read_once_and_in_order():
    text = _summary(
        ("Delegate/Convert (NC)", "[Delegate]:0", 0.003, 0.002, 2),
        (f"Delegate/{PRODUCT}", "[Delegate]:1", 1.25, 1.25, 1),
        ("AVERAGE_POOL_2D", "[Builtin]:2", 0.053, 0.053, 1),
    )
    assert parse_summary(text) == [
        Line("Convert (NC)", True, 0, 2, 0.003, pytest.approx(0.001)),
        Line(PRODUCT, True, 1, 1, 1.25, 0.0),
        Line("AVERAGE_POOL_2D", False, 2, 1, 0.053, 0.0),
    ]


def test_the_others_of_a_sum_share_what_the_first_leaves():
    row = (f"Delegate/{PRODUCT}", "[Delegate]:1", 0.5, 0.3, 3)
    (line,) = parse_summary(_summary(row))
    assert line.other_ms == pytest.approx((3 * 0.3 - 0.5) / 2)


@pytest.mark.parametrize("text", ["", "=== Run Order ===\n", "no summary at all"])
def test_texts_without_lines_are_refused(text):
    with pytest.raises(ValueError, match="lists no operations"):
        parse_summary(text)


def _operations(*names):
    """Operations after one another; `name<-1,2` takes the outputs of those two."""
    made = []
    for position, name in enumerate(names):
        name, _, sources = name.partition("<-")
        name, _, size = name.partition(" ")
        before = (position - 1,) if position else ()
        made.append(
            Operation(
                name=name,
                layer=f"layer{position}",
                input_shape=(1, 8, 8, 4),
                kernel_shape=(4, int(size), int(size), 4) if size else None,
                output_shape=(1, 8, 8, 4),
                strides=(1, 1) if size else None,
                groups=1,
                macs=0,
                weight_bytes=0,
                sources=tuple(map(int, sources.split(","))) if sources else before,
            )
        )
    return made


def _lines(*rows):
    """Lines; `kernel:index` on the delegate, `name@index` off it, `*n` n of them."""
    made = []
    for row in rows:
        row, _, calls = row.partition("*")
        delegated = "@" not in row
        kernel, _, index = row.rpartition(":" if delegated else "@")
        made.append(Line(kernel, delegated, int(index), int(calls or 1), 0.0, 0.0))
    return made


def _matched(lines, operations):
    """Returns (kernel, position of its operation) of all that ran."""
    positions = {id(operation): i for i, operation in enumerate(operations)}
    return [
        (lines[each.line].kernel, positions.get(id(each.operation)))
        for each in match(lines, operations)
    ]


def test_kernels_go_to_operations_of_their_kind():
    """A 1x1 convolution is a matrix product, or not; names differ in writing."""
    operations = _operations(
        *("CONV_2D 3", "CONV_2D 1", "CONV_2D 1", "DEPTHWISE_CONV_2D 3"),
        *("MAX_POOL_2D", "HARD_SWISH", "MUL", "MEAN", "FULLY_CONNECTED", "SOFTMAX"),
    )
    kernels = (
        *(CONVOLUTION, PRODUCT, CONVOLUTION, "Convolution (NHWC, QC8) DWConv"),
        *("Max Pooling (NHWC, S8)", "HardSwish (NC)", "Square (NC)"),
        *("Mean (ND) Reduce", PRODUCT, "Softmax (NC, F32)"),
    )
    lines = _lines(*(f"{kernel}:{i}" for i, kernel in enumerate(kernels)))
    assert _matched(lines, operations) == list(zip(kernels, range(10), strict=True))


def test_what_is_left_out_or_added_stays_alone():
    """A padding is fused, a reshape takes no time, an addition brings a clamp."""
    operations = _operations(
        *("PAD", "CONV_2D 3", "ADD", "MEAN", "RESHAPE", "FULLY_CONNECTED"),
    )
    lines = _lines(
        *(f"{CONVOLUTION}:0", "Add (ND):1", "Clamp (NC):2", "Mean (ND) Reduce:3"),
        *("Something New (NC):4", f"{PRODUCT}:5"),
    )
    assert _matched(lines, operations) == [
        (CONVOLUTION, 1),
        ("Add (ND)", 2),
        ("Clamp (NC)", None),
        ("Mean (ND) Reduce", 3),
        ("Something New (NC)", None),
        (PRODUCT, 5),
    ]


def test_most_operations_get_a_kernel():
    """The first product belongs to the second operation, since a max pool follows."""
    operations = _operations("CONV_2D 3", "CONV_2D 1", "MAX_POOL_2D", "CONV_2D 1")
    lines = _lines(f"{PRODUCT}:0", "Max Pooling (NHWC, S8):1", f"{PRODUCT}:2")
    assert [position for _, position in _matched(lines, operations)] == [1, 2, 3]


def test_kernels_added_up_come_apart():
    """Two parts on the delegate begin and end with the same kernels."""
    operations = _operations(
        *("QUANTIZE", "CONV_2D 3", "CONV_2D 1", "AVERAGE_POOL_2D"),
        *("ADD", "CONV_2D 3", "CONV_2D 1", "SOFTMAX", "DEQUANTIZE"),
    )
    lines = _lines(
        *("Convert (NC):0*2", f"{CONVOLUTION}:1*2", f"{PRODUCT}:2*2"),
        *("AVERAGE_POOL_2D@3", "Add (ND):0", "SOFTMAX@7"),
    )
    assert _matched(lines, operations) == [
        ("Convert (NC)", 0),
        (CONVOLUTION, 1),
        (PRODUCT, 2),
        ("AVERAGE_POOL_2D", 3),
        ("Add (ND)", 4),
        (CONVOLUTION, 5),
        (PRODUCT, 6),
        ("SOFTMAX", 7),
        ("Convert (NC)", 8),
    ]
    first = [each.first for each in match(lines, operations)]
    assert first == [True] * 5 + [False, False, True, False]


def test_the_delegate_runs_ahead_of_what_it_cannot_run():
    """The branch beside a pool off the delegate runs before it, the pool's after."""
    operations = _operations(
        "CONV_2D 3",
        "AVERAGE_POOL_2D<-0",
        "CONV_2D 1<-1",
        "CONV_2D 3<-0",
        "CONCATENATION<-2,3",
    )
    lines = _lines(
        *(f"{CONVOLUTION}:0", f"{CONVOLUTION}:1", "AVERAGE_POOL_2D@1"),
        *(f"{PRODUCT}:0", f"{COPY}:1"),
    )
    assert _matched(lines, operations) == [
        (CONVOLUTION, 0),
        (CONVOLUTION, 3),
        ("AVERAGE_POOL_2D", 1),
        (PRODUCT, 2),
        (COPY, 4),
    ]


def test_no_kernel_is_lost():
    """Whatever cannot be placed stands at the end."""
    lines = _lines(f"{CONVOLUTION}:0", f"{PRODUCT}:7*2", "CUSTOM_THING@9")
    found = _matched(lines, _operations("CONV_2D 3"))
    assert found[0] == (CONVOLUTION, 0)
    assert sorted(found[1:]) == [
        ("CUSTOM_THING", None),
        (PRODUCT, None),
        (PRODUCT, None),
    ]
