"""How JAX computes a grouped convolution: as is fastest on the device, measured there.

XLA takes filter groups anywhere. On CPUs that is up to a hundred times slower than one
convolution per group; on GPUs it can be slower than one dense convolution with a
block-diagonal kernel, although that has as many times the multiply-adds as there are
groups.
"""

import functools
import time
from concurrent import futures

import keras
from keras import ops

_RUNS = 3  # timed ones, of which the fastest counts


def grouped_conv2d(inputs, kernel, groups: int, lowering: str, **arguments):
    """Returns the grouped convolution of a batch of images, on JAX.

    Args:
        inputs: Images, `(batch, height, width, channels)`, or channels first as
            `data_format` says.
        kernel: Filters, `(height, width, channels / groups, filters)`.
        groups: Number of filter groups, more than one.
        lowering: `"native"` for XLA's filter groups, `"split"` for a convolution per
            group, `"auto"` for the fastest of those that may be on this device, in
            training: each layer is measured once in a process, at its own size.
        **arguments: Those of `keras.ops.conv`.
    """
    if lowering == "auto":
        lowering = fastest(
            _platform(),
            tuple(inputs.shape),
            tuple(kernel.shape),
            keras.backend.standardize_dtype(inputs.dtype),
            groups,
            tuple(sorted(arguments.items())),
        )
    return FORMS[lowering](inputs, kernel, groups, arguments)


def _native(inputs, kernel, groups, arguments):
    return ops.conv(inputs, kernel, **arguments)


def _split(inputs, kernel, groups, arguments):
    axis = -1 if arguments["data_format"] == "channels_last" else 1
    pairs = zip(
        ops.split(inputs, groups, axis), ops.split(kernel, groups, -1), strict=True
    )
    return ops.concatenate([ops.conv(*pair, **arguments) for pair in pairs], axis)


def _dense(inputs, kernel, groups, arguments):
    return ops.conv(inputs, block_diagonal(kernel, groups), **arguments)


def _batched(inputs, kernel, groups, arguments):
    """One product of matrices for all groups (Deep Roots, section 5)."""
    if arguments["data_format"] == "channels_first":
        arguments = arguments | {"data_format": "channels_last"}
        inputs = ops.transpose(inputs, (0, 2, 3, 1))
        outputs = _batched(inputs, kernel, groups, arguments)
        return ops.transpose(outputs, (0, 3, 1, 2))
    height, width, channels, filters = kernel.shape
    patches = ops.stack(_shifted(inputs, (height, width), arguments), axis=3)
    shape = (*patches.shape[:-1], groups, channels)
    kernel = ops.reshape(kernel, (height * width, channels, groups, filters // groups))
    outputs = ops.einsum("nhwkgc,kcgf->nhwgf", ops.reshape(patches, shape), kernel)
    return ops.reshape(outputs, (*outputs.shape[:3], filters))


def _shifted(inputs, size, arguments) -> list:
    """Returns, for each place in a kernel, the pixels that it meets."""
    strides, rates = arguments["strides"], arguments["dilation_rate"]
    sides = inputs.shape[1:3]
    extents = [rate * (side - 1) + 1 for rate, side in zip(rates, size, strict=True)]
    if arguments["padding"] == "same":
        missing = [
            max((-(-side // stride) - 1) * stride + extent - side, 0)
            for side, stride, extent in zip(sides, strides, extents, strict=True)
        ]
        pads = [(total // 2, total - total // 2) for total in missing]
        inputs = ops.pad(inputs, ((0, 0), *pads, (0, 0)))
    last = [
        side - extent + 1
        for side, extent in zip(inputs.shape[1:3], extents, strict=True)
    ]
    return [
        inputs[
            :, row : row + last[0] : strides[0], column : column + last[1] : strides[1]
        ]
        for row in range(0, extents[0], rates[0])
        for column in range(0, extents[1], rates[1])
    ]


FORMS = {"native": _native, "split": _split, "batched": _batched, "dense": _dense}
# Which are tried where: on a GPU, as many convolutions as there are groups are slow.
_TRIED = {"cpu": ("native", "split"), "gpu": ("native", "batched", "dense")}


def block_diagonal(kernel, groups: int):
    """Returns the dense kernel of filter groups: zero where a filter sees no channel.

    Args:
        kernel: `(height, width, channels / groups, filters)`.
        groups: Number of filter groups.

    Returns:
        `(height, width, channels, filters)`.
    """
    height, width, channels, filters = kernel.shape
    kernel = ops.reshape(kernel, (height, width, channels, groups, filters // groups))
    blocks = ops.einsum("hwcgf,kg->hwkcgf", kernel, ops.eye(groups, dtype=kernel.dtype))
    return ops.reshape(blocks, (height, width, groups * channels, filters))


@functools.cache
def fastest(platform, images, kernel, dtype, groups, arguments) -> str:
    """Returns the fastest of `FORMS` in a training step, by measuring.

    Args:
        platform: `"cpu"`, `"gpu"` or another of JAX's.
        images: Shape of the images.
        kernel: Shape of the kernel.
        dtype: Name of the dtype of both.
        groups: Number of filter groups.
        arguments: Pairs of name and value: those of `keras.ops.conv`.
    """
    tried = _TRIED.get(platform, ("native",))
    if len(tried) == 1:
        return tried[0]

    def seconds(form):
        return _seconds(FORMS[form], images, kernel, dtype, groups, dict(arguments))

    # A thread of its own is in no trace of the caller's.
    with futures.ThreadPoolExecutor(1) as executor:
        times = executor.submit(lambda: {form: seconds(form) for form in tried})
        return min(tried, key=times.result().get)


def _seconds(form, images, kernel, dtype, groups, arguments) -> float:
    """Returns how long outputs and both gradients take."""
    import jax

    args, _, step = steps(form, images, kernel, dtype, groups, arguments)

    def timed():
        start = time.perf_counter()
        jax.block_until_ready(step(*args))
        return time.perf_counter() - start

    timed()  # compiles
    return min(timed() for _ in range(_RUNS))


def steps(form, images, kernel, dtype, groups: int, arguments: dict) -> tuple:
    """Returns random inputs of a layer, and functions of them that compute it.

    Args:
        form: One of the functions in `FORMS`.
        images: Shape of the images.
        kernel: Shape of the kernel.
        dtype: Name of the dtype of both.
        groups: Number of filter groups.
        arguments: Those of `keras.ops.conv`.

    Returns:
        Images and kernel; a function to the outputs; one to the outputs and to the
        gradients by images and kernel. They are to be compiled when they are called.
    """
    import jax

    keys = jax.random.split(jax.random.key(0), 2)
    args = tuple(
        jax.random.normal(key, shape, dtype)
        for key, shape in zip(keys, (images, kernel), strict=True)
    )

    def forward(inputs, kernel):
        return form(inputs, kernel, groups, arguments)

    def training(inputs, kernel):
        outputs, pull = jax.vjp(forward, inputs, kernel)
        return outputs, pull(outputs)

    return args, jax.jit(forward), jax.jit(training)


def _platform() -> str:
    import jax

    return jax.devices()[0].platform
