"""The operations of a LiteRT file: names, layers, shapes and multiply-adds."""

import collections
import dataclasses
import math
import os
import re
import struct

from keras_roots.export import runner
from keras_roots.utils import checks

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of a LiteRT file.

    Attributes:
        name: LiteRT's name of it, such as `"CONV_2D"`.
        layer: Name of the layer that it comes from, "" if the file has none; of several
            layers in one operation, the one that gives the weights.
        input_shape: Shape of its first input that is no constant.
        kernel_shape: Shape of its weights as LiteRT stores them (filters, height,
            width and input channels per group for `"CONV_2D"`), `None` without.
        output_shape: Shape of its first output.
        strides: Along height and width, `None` for what has none.
        groups: Filter groups; the input channels of a depthwise convolution.
        macs: Multiply-adds of one call, by the convention of `keras_roots.profile`;
            0 for all but convolutions and fully connected layers.
        weight_bytes: Bytes of its constants, biases among them.
        sources: Positions in the file of the operations whose outputs it takes.
    """

    name: str
    layer: str
    input_shape: Shape
    kernel_shape: Shape | None
    output_shape: Shape
    strides: tuple[int, int] | None
    groups: int
    macs: int
    weight_bytes: int
    sources: tuple[int, ...]

    @property
    def kind(self) -> str:
        """What operations that cost alike share, such as `"CONV_2D 3x3/2 grouped"`."""
        if self.kernel_shape is None or self.strides is None:
            return self.name
        kind = f"{self.name} {self.kernel_shape[1]}x{self.kernel_shape[2]}"
        if max(self.strides) > 1:
            kind += f"/{max(self.strides)}"
        return kind + " grouped" * (self.name == "CONV_2D" and self.groups > 1)


def read_operations(file: str | os.PathLike | bytes) -> list[Operation]:
    """Reads the operations of a LiteRT file, in its order.

    Multiply-adds are the weights times the positions that they are applied to, plus
    every bias once (Ioannou et al., Deep Roots, CVPR 2017), for all images of a call.

    Args:
        file: Path of a `.tflite` file, or its content.

    Returns:
        An `Operation` each.

    Raises:
        ValueError: It is no LiteRT file.
        FileNotFoundError: There is no such file.
        ImportError: ai-edge-litert is not installed.

    Example:
        >>> max(read_operations("root_nin_8.tflite"), key=lambda each: each.macs).layer
        'conv1b'
    """
    runner.require_litert()
    from ai_edge_litert import schema_py_generated as schema

    content, shown = _content(file)
    try:
        if not schema.Model.ModelBufferHasIdentifier(content, 0):
            raise ValueError("it lacks the mark of one")
        operators, tensors = _unpack(schema, schema.Model.GetRootAs(content, 0))
        return _with_plain_layers(_operations(operators, tensors))
    # What the reader raises on a file that is cut short or damaged.
    except (ValueError, TypeError, LookupError, AttributeError, struct.error) as error:
        raise ValueError(
            f"`file` must be a LiteRT file. Received: file={shown}, and {error}"
        ) from error


def _content(file) -> tuple[bytes, str]:
    if isinstance(file, bytes):
        return file, f"{len(file)} bytes"
    file = checks.path("file", file, required=True)
    if not os.path.isfile(file):
        raise FileNotFoundError(f"`file` is missing: no LiteRT file {file!r}")
    with open(file, "rb") as opened:
        return opened.read(), repr(file)


def _unpack(schema, model):
    """Returns name, inputs, outputs and strides of the operations, and the tensors."""
    graph = schema.SubGraphT.InitFromObj(model.Subgraphs(0))
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    names = [_operation_name(schema.BuiltinOperator, code) for code in codes]
    operators = [
        (
            names[operator.opcodeIndex],
            _indices(operator.inputs),
            _indices(operator.outputs),
            _strides(operator.builtinOptions),
        )
        for operator in graph.operators
    ]
    return operators, [_Tensor.read(model, tensor) for tensor in graph.tensors]


def _indices(array) -> list[int]:
    return [] if array is None else list(map(int, array))


def _operation_name(builtin, code) -> str:
    # Old files have the number in the narrower field only.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == builtin.CUSTOM:
        return code.CustomCode().decode()
    names = {value: name for name, value in vars(builtin).items()}
    return names.get(number, f"operation {number}")


def _strides(options) -> tuple[int, int] | None:
    if not hasattr(options, "strideH"):
        return None
    return options.strideH, options.strideW


@dataclasses.dataclass(frozen=True)
class _Tensor:
    name: str
    shape: Shape
    bytes: int  # 0 unless it is a constant

    @classmethod
    def read(cls, model, tensor):
        shape = () if tensor.shape is None else tuple(map(int, tensor.shape))
        size = model.Buffers(tensor.buffer).DataLength()
        return cls(tensor.name.decode(), shape, size)

    @property
    def size(self):
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class _Weighted:
    """The inputs of an operation that multiplies and adds.

    Attributes:
        data: Position of the data among its inputs.
        bias: Position of the biases among its inputs, which may end before it. The
            weights come second.
        filters: Axis of the weights that runs over the filters.
        transposed: Whether the weights are applied at every position of the input.
    """

    data: int = 0
    bias: int = 2
    filters: int = 0
    transposed: bool = False


_WEIGHTED = {
    "CONV_2D": _Weighted(),
    "DEPTHWISE_CONV_2D": _Weighted(filters=3),
    "FULLY_CONNECTED": _Weighted(),
    "TRANSPOSE_CONV": _Weighted(data=2, bias=3, transposed=True),
}


def _operations(operators, tensors) -> list[Operation]:
    producers: dict[int, int] = {}
    found = []
    for position, (name, inputs, outputs, strides) in enumerate(operators):
        sources = {producers[index] for index in inputs if index in producers}
        found.append(
            _operation(
                name,
                # A negative index stands for an input that is left out.
                [tensors[index] if index >= 0 else None for index in inputs],
                tensors[outputs[0]] if outputs else _Tensor("", (), 0),
                strides,
                tuple(sorted(sources)),
            )
        )
        producers |= dict.fromkeys(outputs, position)
    return found


def _operation(name, inputs, output, strides, sources) -> Operation:
    given = [tensor for tensor in inputs if tensor is not None]
    weighted = _WEIGHTED.get(name)
    if weighted is None:
        data = next((tensor for tensor in given if not tensor.bytes), output)
        kernel, macs = None, 0
    else:
        data = inputs[weighted.data]
        kernel = inputs[1].shape
        macs = _macs(weighted, kernel, data, output)
        macs += sum(bias.size for bias in inputs[weighted.bias :] if bias is not None)
    return Operation(
        name=name,
        layer=_layer_name(output.name, None if weighted is None else inputs[1].name),
        input_shape=data.shape,
        kernel_shape=kernel,
        output_shape=output.shape,
        strides=strides,
        groups=_groups(name, kernel, data),
        macs=macs,
        weight_bytes=sum(tensor.bytes for tensor in given),
        sources=sources,
    )


def _macs(weighted, kernel, data, output) -> int:
    if weighted.transposed:
        return math.prod(kernel) * data.size // data.shape[-1]
    return math.prod(kernel) * output.size // kernel[weighted.filters]


def _groups(name, kernel, data) -> int:
    if name == "DEPTHWISE_CONV_2D":
        return data.shape[-1]
    return data.shape[-1] // kernel[-1] if name == "CONV_2D" else 1


def _layer_name(output, weights) -> str:
    """Returns the scope of a tensor, without the model's and the operation's own name.

    The converter joins the names of what it fuses, the last operation first:
    `net_1/relu_1/Relu;net_1/conv_1/convolution`. It names the last tensor of all anew.

    Args:
        output: Name of an operation's output.
        weights: Name of its weights, `None` without.
    """
    parts = output.split(";")
    if weights is not None:
        parts += weights.split(";")
        parts = [part for part in parts if _WEIGHTS.search(part.rpartition("/")[2])]
        parts.reverse()
    scopes = [part.split("/")[1:-1] for part in parts if part.count("/") > 1]
    return "/".join(scopes[-1]) if scopes else ""


_WEIGHTS = re.compile(r"conv|depthwise|matmul", re.IGNORECASE)


def _with_plain_layers(operations) -> list[Operation]:
    """Removes the number that TensorFlow adds to every scope of a second trace."""
    scopes = [
        scope
        for operation in operations
        for scope in operation.layer.split("/")[:1]
        if scope
    ]
    endings = collections.Counter(re.search(r"(_\d+)?$", scope)[0] for scope in scopes)
    if len(endings) != 1:
        return operations
    (ending,) = endings
    return [
        dataclasses.replace(
            operation,
            layer="/".join(
                scope.removesuffix(ending) for scope in operation.layer.split("/")
            ),
        )
        for operation in operations
    ]
