"""Building a twin whose layers round to 8 bits where a LiteRT file does."""

import functools

import keras
import numpy as np
import tf_keras

from keras_roots import graph
from keras_roots.export import is_batch_norm
from keras_roots.tf_keras_twin import builder
from keras_roots.tf_keras_twin.fake_quantization import EightBits
from keras_roots.tf_keras_twin.tf_keras_layers import ChannelScale, GroupedConv2D
from keras_roots.tf_keras_twin.wrappers import QuantizedLayer

_layers = keras.layers

# Layers with a kernel: where it is, and whether LiteRT has a scale per filter.
_KERNELS = {
    _layers.Conv2D: ("kernel", True),
    _layers.DepthwiseConv2D: ("depthwise_kernel", True),
    _layers.Conv2DTranspose: ("kernel", False),  # whose filters are not its last axis
    _layers.Dense: ("kernel", False),
}

# They compute in several steps, of which only the last one's range could be recorded.
_UNROUNDED = (_layers.LayerNormalization, _layers.SeparableConv2D)

# In LiteRT their output has the scale of their input.
_SAME_SCALE = (
    _layers.AveragePooling2D,
    _layers.Cropping2D,
    _layers.Dropout,
    _layers.Flatten,
    _layers.GaussianDropout,
    _layers.GaussianNoise,
    _layers.GlobalMaxPooling2D,
    _layers.Identity,
    _layers.MaxPooling2D,
    _layers.Permute,
    _layers.Reshape,
    _layers.SpatialDropout2D,
    _layers.UpSampling2D,
    _layers.ZeroPadding2D,
)

# In LiteRT their output has a scale that is fixed: that of -1 to 1, or of 0 to 1.
_FIXED_SCALE = (
    keras.activations.sigmoid,
    keras.activations.softmax,
    keras.activations.tanh,
)

# Activations that LiteRT computes at the end of the operation before.
_FUSED = (keras.activations.linear, keras.activations.relu, keras.activations.relu6)
_BEFORE_RELU = (
    _layers.Conv2D,
    _layers.DepthwiseConv2D,
    _layers.Dense,
    _layers.BatchNormalization,
    _layers.Add,
    _layers.Subtract,
    _layers.Multiply,
)


def build(model: keras.Model, per_filter: bool = True) -> tf_keras.Model:
    """Builds a model's twin for quantisation-aware training, ranges to be recorded.

    Args:
        model: A functional model, or a Sequential one that is built.
        per_filter: Whether filters have scales of their own.

    Raises:
        ValueError: A layer has no counterpart, or an input is of integers.
    """
    for tensor in model.inputs:
        if not keras.backend.is_float_dtype(tensor.dtype):
            raise ValueError(
                "`model` must have inputs of floats for their range to be rounded: "
                f'keras.Input(..., dtype="float32"). Received: input {tensor.name!r} '
                f"of {tensor.dtype}"
            )
    make = functools.partial(_make, graph.Connections(model), not per_filter)
    return builder.build(model, make, _quantized_input)


def quantizers(twin: tf_keras.Model) -> list:
    """Returns the quantizers of all layers of a twin."""
    return [
        quantizer
        for layer in twin.layers
        if isinstance(layer, QuantizedLayer)
        for quantizer in layer.quantize_config.quantizers()
    ]


def grouped(twin: tf_keras.Model) -> list[GroupedConv2D]:
    """Returns the convolutions of a twin that have filter groups."""
    inner = [getattr(layer, "layer", layer) for layer in twin.layers]
    return [layer for layer in inner if isinstance(layer, GroupedConv2D)]


def _quantized_input(tensor):
    layer = tf_keras.layers.Identity(name=f"{tensor.name}_range")
    return QuantizedLayer(layer, EightBits(output="input"))(tensor)


def ranges(twin: tf_keras.Model) -> dict[str, dict]:
    """Returns the ends of the ranges of rounded outputs, by names of layers."""
    return {
        layer.layer.name: layer.output_range
        for layer in twin.layers
        if isinstance(layer, QuantizedLayer) and layer.quantize_config.output
    }


def _make(connections, shared, name, layer, inputs, operation):
    """Returns the twin's counterpart of a layer, one or two layers, as a function."""
    if isinstance(layer, _UNROUNDED):
        raise ValueError(
            "`model` cannot be trained as int8: tensorflow-model-optimization does not "
            f"round what is between the parts of {name!r}. Received: {name!r} of type "
            f"{type(layer).__name__}"
        )
    constants = _scale_and_offset(layer)
    if constants is not None and _per_channel(constants, inputs):
        return _quantized(ChannelScale(*constants, name=name), True)
    rounds = _rounds(connections, operation)
    kernel = _kernel(layer) and (*_kernel(layer), shared)
    activation = getattr(layer, "activation", keras.activations.linear)
    if kernel and activation not in _FUSED:
        linear = builder.translated(name, layer, inputs, activation="linear")
        after = builder.translated(
            f"{name}_activation", _layers.Activation(activation), inputs
        )
        return _chain(
            _quantized(linear, True, *kernel),
            _quantized(after, rounds),
        )
    quantized = _quantized(builder.translated(name, layer, inputs), rounds, *kernel)
    sources = connections.sources(operation)
    if is_batch_norm(operation) and not any(_fuses(connections, x) for x in sources):
        return _chain(ChannelScale(1.0, name=f"{name}_channels"), quantized)
    return quantized


def _scale_and_offset(layer) -> tuple | None:
    """Returns the constants of a layer that normalises, `None` for any other."""
    if isinstance(layer, _layers.Rescaling):
        return tuple(np.asarray(x).tolist() for x in (layer.scale, layer.offset))
    if not isinstance(layer, _layers.Normalization):
        return None
    mean, variance = (np.asarray(x, "float32") for x in (layer.mean, layer.variance))
    spread = np.maximum(np.sqrt(variance), keras.config.epsilon())
    scale = spread if layer.invert else 1 / spread
    offset = mean if layer.invert else -mean / spread
    if layer.axis in ((), (-1,), (mean.ndim - 1,)):
        scale, offset = scale.reshape(-1), offset.reshape(-1)
    return scale.tolist(), offset.tolist()


def _per_channel(constants, inputs) -> bool:
    """Tells whether constants treat all positions of an image alike."""
    of_images = len(getattr(inputs, "shape", ())) == 4
    return of_images and all(np.ndim(constant) < 2 for constant in constants)


def _quantized(layer, rounds, kernel=None, per_axis=True, shared=False):
    """Returns a layer that rounds its kernel, if any, and its output on request."""
    if not rounds and kernel is None:
        return layer
    output = "activation" if rounds else None
    return QuantizedLayer(layer, EightBits(kernel, output, per_axis, shared))


def _chain(first, second):
    return lambda inputs, **kwargs: second(first(inputs), **kwargs)


def _kernel(operation) -> tuple:
    for kind, kernel in _KERNELS.items():
        if isinstance(operation, kind):
            return kernel
    return ()


def _rounds(connections, operation) -> bool:
    """Tells whether the file has the output of a layer, with a scale of its own."""
    if isinstance(operation, (*_SAME_SCALE, _layers.Softmax)):
        return False
    if getattr(operation, "activation", None) in _FIXED_SCALE:
        return False
    if _is_nothing(operation) and not any(
        _fuses(connections, source) for source in connections.sources(operation)
    ):
        return False
    return not _fuses(connections, operation)


def _fuses(connections, operation) -> bool:
    """Tells whether LiteRT rounds only after the operation that follows."""
    follower = connections.follower(operation)
    if follower is None or operation not in connections.sources(follower):
        return False
    if isinstance(follower, _layers.Concatenate):
        return True
    if getattr(operation, "activation", None) not in (None, keras.activations.linear):
        return False
    if is_batch_norm(follower):
        return isinstance(operation, _layers.Conv2D | _layers.DepthwiseConv2D)
    return _is_relu(follower) and isinstance(operation, _BEFORE_RELU)


def _is_nothing(layer) -> bool:
    """Tells whether a layer has no operation in the file."""
    return (
        isinstance(layer, _layers.Activation)
        and layer.activation is keras.activations.linear
    )


def _is_relu(layer) -> bool:
    if isinstance(layer, _layers.ReLU):
        return (
            layer.max_value in (None, 6)
            and not layer.negative_slope
            and not layer.threshold
        )
    return isinstance(layer, _layers.Activation) and layer.activation in _FUSED
