"""How TensorFlow computes a grouped convolution: natively, or group by group.

TensorFlow's Conv2D takes filter groups on GPUs, and on CPUs where oneDNN runs it. Which
of forward pass, fused forward pass and gradient work depends on device, dtype, layout
and dilation, so it is tried out, once each, rather than guessed from the platform.
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

    convolve = functools.partial(
        tf.nn.conv2d,
        strides=list(strides),
        padding=padding.upper(),
        dilations=list(dilation_rate),
    )
    dilated = max(dilation_rate) > 1
    works = functools.partial(
        native_works, _device_kind(), tf.as_dtype(inputs.dtype).name, dilated=dilated
    )
    if lowering == "native" or (lowering == "auto" and works(data_format)):
        return convolve(inputs, kernel, data_format=_LAYOUTS[data_format])
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
    if kernel.shape[2] == 1 and not dilated and strides[0] == strides[1]:
        return _depthwise(inputs, kernel, groups, strides, padding)
    return tf.concat(
        [
            convolve(group, filters)
            for group, filters in zip(
                tf.split(inputs, groups, axis=-1),
                tf.split(kernel, groups, axis=-1),
                strict=True,
            )
        ],
        axis=-1,
    )


def _depthwise(inputs, kernel, groups, strides, padding):
    """One channel per group is a depthwise convolution, which works everywhere."""
    import tensorflow as tf

    height, width, _, filters = kernel.shape
    return tf.nn.depthwise_conv2d(
        inputs,
        tf.reshape(kernel, (height, width, groups, filters // groups)),
        strides=[1, *strides, 1],
        padding=padding.upper(),
    )


def _device_kind() -> str:
    """Kind of the device that operations created here will run on."""
    import tensorflow as tf

    placed = tf.DeviceSpec.from_string(tf.zeros(()).device).device_type
    if placed:
        return placed
    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


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

    layout = _LAYOUTS[data_format]
    channels_axis = layout.index("C")
    groups, filters = 2, 8
    shape = [1, 5, 5, 5]
    shape[channels_axis] = 4
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

    def centre(outputs):
        index = [0, 2, 2, 2]
        index[channels_axis] = slice(None)
        return np.asarray(outputs, "float32")[tuple(index)]

    try:
        with tf.device(device):
            inputs = tf.ones(shape, dtype)
            kernel = tf.ones((3, 3, 4 // groups, filters), dtype)
            bias = tf.ones((filters,), dtype)
            tried = [
                (centre(convolve(inputs, kernel)), 9 * 4 // groups),
                (centre(tf.function(fused)(inputs, kernel, bias)), 9 * 4 // groups + 1),
            ]
            for differentiate in (gradients, tf.function(gradients)):
                to_inputs, to_kernel = differentiate(inputs, kernel)
                tried += [
                    (centre(to_inputs), 9 * filters // groups),
                    (np.asarray(to_kernel, "float32")[1, 1], 25),
                ]
            return all(np.all(found == expected) for found, expected in tried)
    except (tf.errors.OpError, ValueError, NotImplementedError):
        return False
