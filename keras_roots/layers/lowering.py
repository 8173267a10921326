"""How TensorFlow computes a grouped convolution: natively, or group by group.

TensorFlow's Conv2D takes filter groups on GPUs, and on CPUs where oneDNN runs it. Which
of forward pass, fused forward pass and gradient work depends on device, dtype, layout
and dilation, so it is tried out, once each, rather than guessed from the platform. XLA
computes filter groups anywhere, but on CPUs up to a hundred times slower than one
convolution per group.
"""

import functools
from concurrent import futures

import numpy as np

LOWERINGS = ("auto", "native", "split")

_LAYOUTS = {"channels_last": "NHWC", "channels_first": "NCHW"}


def grouped_conv2d(
    inputs, kernel, *, groups, strides, padding, data_format, dilation_rate, lowering
):
    """Returns the grouped convolution of a batch of images, on TensorFlow.

    Args:
        inputs: Images, `(batch, height, width, channels)`, or channels first as
            `data_format` says.
        kernel: Filters, `(height, width, channels / groups, filters)`.
        groups: Number of filter groups, more than one.
        strides: Strides along height and width.
        padding: `"valid"` or `"same"`.
        data_format: `"channels_last"` or `"channels_first"`.
        dilation_rate: Dilation along height and width.
        lowering: One of `LOWERINGS`.
    """
    import tensorflow as tf

    arguments = {
        "strides": list(strides),
        "padding": padding.upper(),
        "dilations": list(dilation_rate),
    }
    if lowering == "native" or (
        lowering == "auto"
        and _native_is_best(inputs.dtype, data_format, dilated=max(dilation_rate) > 1)
    ):
        return tf.nn.conv2d(
            inputs, kernel, data_format=_LAYOUTS[data_format], **arguments
        )
    if data_format == "channels_first":
        # CPU kernels are channels-last only; a transposition is cheap beside XLA.
        outputs = grouped_conv2d(
            tf.transpose(inputs, (0, 2, 3, 1)),
            kernel,
            groups=groups,
            strides=strides,
            padding=padding,
            data_format="channels_last",
            dilation_rate=dilation_rate,
            lowering=lowering,
        )
        return tf.transpose(outputs, (0, 3, 1, 2))
    if kernel.shape[2] == 1 and strides[0] == strides[1]:
        return _depthwise(inputs, kernel, groups, arguments)
    return tf.concat(
        [
            # Unlike conv2d, it has a gradient for dilated filters on every CPU.
            tf.nn.convolution(group, filters, data_format="NHWC", **arguments)
            for group, filters in zip(
                tf.split(inputs, groups, axis=-1),
                tf.split(kernel, groups, axis=-1),
                strict=True,
            )
        ],
        axis=-1,
    )


def _depthwise(inputs, kernel, groups, arguments):
    """One channel per group: works everywhere, with equal strides."""
    import tensorflow as tf

    height, width, _, filters = kernel.shape
    return tf.nn.depthwise_conv2d(
        inputs,
        tf.reshape(kernel, (height, width, groups, filters // groups)),
        **{**arguments, "strides": [1, *arguments["strides"], 1]},
    )


def _native_is_best(dtype, data_format, *, dilated) -> bool:
    """Tells whether TensorFlow's own grouped convolution works here, and quickly."""
    import tensorflow as tf

    device = _device_kind()
    if device == "CPU" and _in_xla():
        return False
    return native_works(device, tf.as_dtype(dtype).name, data_format, dilated=dilated)


def _device_kind() -> str:
    """Kind of the device that operations created here will run on."""
    import tensorflow as tf

    placed = tf.DeviceSpec.from_string(tf.zeros(()).device).device_type
    if placed:
        return placed
    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


def _in_xla() -> bool:
    """Tells whether XLA will compile the operations created here."""
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util

    return not tf.executing_eagerly() and control_flow_util.GraphOrParentsInXlaContext(
        tf.compat.v1.get_default_graph()
    )


@functools.cache
def native_works(device: str, dtype: str, data_format: str, *, dilated: bool) -> bool:
    """Tells whether TensorFlow's own grouped convolution works, by running it.

    Tries the forward pass, the forward pass that the graph optimiser fuses with bias
    and activation, and the gradient, and checks the values of all of them.

    Args:
        device: Kind of device: `"CPU"` or `"GPU"`.
        dtype: Name of the dtype of images and kernel.
        data_format: `"channels_last"` or `"channels_first"`.
        dilated: Whether the convolution is dilated.
    """
    # A thread of its own has no graph, tape or device scope of the caller's.
    with futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(_try, device, dtype, data_format, dilated).result()


def _try(device, dtype, data_format, dilated) -> bool:
    import tensorflow as tf

    if not tf.as_dtype(dtype).is_floating:
        return False
    layout = _LAYOUTS[data_format]
    channels_axis = layout.index("C")
    rate = 2 if dilated else 1

    def convolve(inputs, kernel):
        return tf.nn.conv2d(
            inputs, kernel, 1, "SAME", data_format=layout, dilations=rate
        )

    def fused(inputs, kernel, bias):
        return tf.nn.relu(
            tf.nn.bias_add(convolve(inputs, kernel), bias, data_format=layout)
        )

    def gradients(inputs, kernel):
        with tf.GradientTape() as tape:
            tape.watch((inputs, kernel))
            outputs = convolve(inputs, kernel)
        return tape.gradient(outputs, (inputs, kernel))

    def in_graph(function, *args):
        # Traced even where functions are set to run eagerly; fused only in a graph.
        return tf.function(function).get_concrete_function(*args)(*args)

    def centre(outputs):
        index = [0, 2, 2, 2]
        index[channels_axis] = slice(None)
        return np.asarray(outputs, "float32")[tuple(index)]

    # Two groups: channels of ones, then twos; filters of ones, then threes. So every
    # sum tells which group it is of, and is exact in 8 bits.
    channels = np.array([1, 1, 2, 2])
    filters = np.array([1, 1, 1, 1, 3, 3, 3, 3])
    images = np.ones((1, 5, 5, 1)) * channels
    try:
        with tf.device(device):
            inputs = tf.constant(np.moveaxis(images, -1, channels_axis), dtype)
            kernel = tf.constant(np.ones((3, 3, 2, 1)) * filters, dtype)
            bias = tf.ones(filters.shape, dtype)
            forward = 9 * 2 * np.repeat([1, 2], 4) * filters
            tried = [
                (centre(convolve(inputs, kernel)), forward),
                (centre(in_graph(fused, inputs, kernel, bias)), forward + 1),
            ]
            for to_inputs, to_kernel in (
                gradients(inputs, kernel),
                in_graph(gradients, inputs, kernel),
            ):
                tried += [
                    (centre(to_inputs), 9 * 4 * np.repeat([1, 3], 2)),
                    (
                        np.asarray(to_kernel, "float32")[1, 1, 0],
                        25 * np.repeat([1, 2], 4),
                    ),
                ]
            # Loosely: some GPU algorithms round, but no mistake is smaller than this.
            return all(np.allclose(found, expected, 0.01) for found, expected in tried)
    except (tf.errors.OpError, ValueError, NotImplementedError):
        return False
