"""What single positions of the output of a convolution or Dense layer are made of."""

import math

import keras
import numpy as np

from keras_roots.convolutions.description import Convolution


def choose_positions(
    layer: keras.Layer, inputs, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Chooses positions of a layer's output at random, image by image.

    Args:
        layer: A convolution or a Dense layer.
        inputs: What it is called on.
        count: Positions of an image; all, if it has no more than that.
        rng: Source of random numbers.

    Returns:
        Indices of positions, row by row, `[images, count]`.
    """
    images = inputs.shape[0]
    every = math.prod(_sides(layer, layer.compute_output_shape(inputs.shape)))
    if every <= count:
        return np.tile(np.arange(every), (images, 1))
    return rng.integers(every, size=(images, count))


def answers_at(layer: keras.Layer, answers, positions: np.ndarray):
    """Returns a layer's outputs at positions, `[images, positions, filters]`."""
    maps = _channels_last(layer, answers)
    return np.take_along_axis(
        maps.reshape(len(maps), -1, maps.shape[-1]), positions[..., None], 1
    )


def patches_at(layer: keras.Layer, inputs, positions: np.ndarray) -> np.ndarray:
    """Returns what a layer's kernel meets at positions of its output.

    Args:
        layer: A convolution; of one with groups, the inputs of all groups. Or a Dense
            layer.
        inputs: What it is called on.
        positions: Indices as `choose_positions` returns them.

    Returns:
        `[images, positions, height, width, channels]`, as kernels are laid out.
    """
    maps = _channels_last(layer, inputs)
    whole = Convolution.of(layer, [maps.shape[1:3]])
    size, ((_, width),) = whole.kernel_shape[:2], whole.outputs
    if whole.padding == "same":
        around = map(_padding, maps.shape[1:3], size, whole.strides, whole.dilation)
        maps = np.pad(maps, ((0, 0), *around, (0, 0)))
    window = [
        (side - 1) * rate + 1 for side, rate in zip(size, whole.dilation, strict=True)
    ]
    views = np.lib.stride_tricks.sliding_window_view(maps, window, axis=(1, 2))
    rows, columns = np.divmod(positions, width)
    found = views[
        np.arange(len(maps))[:, None],
        rows * whole.strides[0],
        columns * whole.strides[1],
        :,
        :: whole.dilation[0],
        :: whole.dilation[1],
    ]
    return np.moveaxis(found, 2, -1)


def respond(layer: keras.Layer, patches: np.ndarray) -> np.ndarray:
    """Returns what a layer answers to patches, before its activation.

    In float32, whatever the layer computes in.

    Args:
        layer: A convolution or a Dense layer.
        patches: As `patches_at` returns them.

    Returns:
        `[images * positions, filters]`.
    """
    kernel = keras.ops.convert_to_numpy(keras.ops.cast(layer.kernel, "float32"))
    whole = Convolution.of(layer)
    kernel = kernel.reshape(whole.kernel_shape)
    answers = features(kernel, whole.groups, patches).reshape(-1, whole.filters)
    if layer.use_bias:
        bias = keras.ops.cast(layer.bias, "float32")
        answers = answers + keras.ops.convert_to_numpy(bias)
    return answers


def features(kernel: np.ndarray, groups: int, patches: np.ndarray) -> np.ndarray:
    """Returns what filters answer to patches, at every place within a patch.

    Args:
        kernel: The filters, `[height, width, channels / groups, M]`, no larger than the
            patches: filters as large have one place, columns one per column.
        groups: Filter groups.
        patches: As `patches_at` returns them.

    Returns:
        `[images * positions, groups, M / groups * places]`: all places of a filter,
        then those of the next.
    """
    *size, channels, filters = kernel.shape
    seen = patches.reshape(-1, *patches.shape[2:4], groups, channels)
    rows, columns = (
        range(whole - own + 1)
        for whole, own in zip(patches.shape[2:4], size, strict=True)
    )
    matrices = kernel.reshape(-1, groups, filters // groups).swapaxes(0, 1)
    matrices = matrices.astype("float32")
    answers = []
    for row in rows:
        for column in columns:
            window = seen[:, row : row + size[0], column : column + size[1]]
            window = np.moveaxis(window, -2, 0).reshape(groups, len(seen), -1)
            answers.append(window @ matrices)
    found = np.stack(answers, axis=-1)  # [groups, samples, M / groups, places]
    return found.swapaxes(0, 1).reshape(len(seen), groups, -1)


def grouped(layer: keras.Layer, patches: np.ndarray) -> np.ndarray:
    """Returns what the kernel of each filter group meets.

    Args:
        layer: A convolution or a Dense layer.
        patches: As `patches_at` returns them.

    Returns:
        `[images * positions, groups, height * width * channels / groups]`.
    """
    *kernel, channels = patches.shape[2:]
    groups = Convolution.of(layer).groups
    parts = patches.reshape(-1, *kernel, groups, channels // groups)
    parts = np.moveaxis(parts, -2, 1)
    return parts.reshape(*parts.shape[:2], -1)


def check_finite(name: str, *samples: np.ndarray) -> None:
    """Checks what a layer sees or answers before anything is fitted to it.

    Args:
        name: Name of the layer.
        *samples: What it sees or answers.

    Raises:
        ValueError: Some of it is NaN or infinite.
    """
    if not all(np.isfinite(each).all() for each in samples):
        raise ValueError(
            "`model` must answer `images` with finite numbers in every layer. "
            f"Received: a model with NaN or infinity in, or before, layer {name!r}: "
            "look for such weights, or images of another range than it was trained on"
        )


def _channels_last(layer, maps) -> np.ndarray:
    maps = keras.ops.convert_to_numpy(keras.ops.cast(maps, "float32"))
    if isinstance(layer, keras.layers.Dense):
        return maps.reshape(len(maps), -1, 1, maps.shape[-1])
    return np.moveaxis(maps, 1, -1) if layer.data_format == "channels_first" else maps


def _sides(layer, shape) -> tuple[int, ...]:
    if isinstance(layer, keras.layers.Dense):
        return tuple(shape[1:-1])
    first = layer.data_format == "channels_first"
    return tuple(shape[2:] if first else shape[1:3])


def _padding(side, size, stride, rate) -> tuple[int, int]:
    """Zeros before and after, as TensorFlow puts them for `"same"`."""
    outputs = -(-side // stride)
    total = max((outputs - 1) * stride + (size - 1) * rate + 1 - side, 0)
    return total // 2, total - total // 2
