"""Correlation between the filters of two layers, where filter groups show as blocks."""

import os
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from keras_roots.analysis import figures
from keras_roots.graph import check_built
from keras_roots.utils import checks

# Directions of less variance, relative to the largest, are rounding, not responses.
_LEAST_VARIANCE = 1e-10


def filter_correlation(
    model: keras.Model,
    first: str,
    second: str,
    batches: Iterable,
    whiten: bool = True,
) -> np.ndarray:
    """Returns the correlation between the responses of two layers' filters.

    Ioannou et al., Deep Roots (CVPR 2017), Figure 6, which shows it for conv2c and
    conv3a of Network in Network, on the test set. Ioannou's thesis (Cambridge,
    "Inter-Layer Covariance") says how: each position of each image is a sample of the
    outputs of both convolutional layers; the smaller map is enlarged to the other's
    size, each position repeated; and the responses of each layer are whitened by ZCA,
    since the correlations within a layer hide those between layers: a root-8 network
    trained on CIFAR-10 had a `block_structure` of 1.15 without whitening and of 1.61
    with it, of at most 4.

    The text does not say whether BatchNorm and ReLU come first. Here the names decide:
    `"conv2c"` is the convolution's own output, `"conv2c_relu"` the input of later
    layers, which shows the blocks more sharply: 2.47 for the same network.

    Args:
        model: A functional model, or a Sequential one that is built, channels last.
        first: Name of a layer with outputs `(batch, height, width, filters)`.
        second: Name of another one.
        batches: Arrays of images `(n, height, width, 3)` as the model takes them,
            pixels 0 to 255 with `include_preprocessing`, or pairs of images and labels.
            Run through once, a batch at a time.
        whiten: Whether to remove the correlations within each layer first. Without, the
            result is Pearson's correlation of every pair of filters.

    Returns:
        float64 `(filters of first, filters of second)`, -1 to 1. A filter whose
        response never changes is correlated with nothing: 0.

    Raises:
        ValueError: The model has no graph or is channels first, it has no such layer,
            a layer's output is no map of filters, or there are no images.

    Example:
        >>> batches = dataset.test.batches(250, 32)
        >>> filter_correlation(model, "conv2c", "conv3a", batches)
    """
    checks.text("first", first)
    checks.text("second", second)
    checks.boolean("whiten", whiten)
    single = not isinstance(batches, Iterable) or getattr(batches, "ndim", 1) < 1
    if single or isinstance(batches, str | bytes | Mapping):
        raise ValueError(
            f"`batches` must be an iterable of arrays. Received: batches={batches!r}"
        )
    responses = _responses_model(model, {"first": first, "second": second})
    moments = None
    for batch in batches:
        images = np.asarray(batch[0] if isinstance(batch, tuple | list) else batch)
        maps = responses.predict_on_batch(images)
        for pair in zip(*maps, strict=True):  # one image at a time, to save memory
            size = np.maximum(pair[0].shape[:2], pair[1].shape[:2])
            samples = np.concatenate([_samples(x, size) for x in pair], axis=1)
            if moments is None:
                split, moments = pair[0].shape[-1], _Moments(samples[0])
            moments.add(samples)
    if moments is None:
        raise ValueError(
            "`batches` must hold at least one image, and can be run through only once "
            f"if it is an iterator. Received: batches={batches!r}"
        )
    covariance = moments.covariance()
    scale = _whitening if whiten else _scaling
    left = scale(covariance[:split, :split])
    right = scale(covariance[split:, split:])
    return np.clip(left @ covariance[:split, split:] @ right, -1, 1)


def block_structure(correlation: np.ndarray, groups: int) -> float:
    """Returns the share of the squared correlation within groups of filters.

    Args:
        correlation: As from `filter_correlation`.
        groups: Number of groups of the second layer's convolution, each of the same
            number of neighbouring filters on both sides.

    Returns:
        The share of the squared correlation in the diagonal blocks, relative to that
        of evenly spread correlation: 1 without structure, `groups` if all lies within
        the blocks. 1 where there is no correlation at all.

    Raises:
        ValueError: `correlation` is no matrix, or `groups` does not divide its sides.
    """
    correlation = checks.array(
        "correlation", correlation, (None, None), "(filters, filters)"
    )
    squares = np.square(correlation.astype("float64"))
    rows, columns = squares.shape
    checks.integer("groups", groups)
    if rows % groups or columns % groups:
        raise ValueError(
            f"`groups` must divide the {rows} and {columns} filters of the layers. "
            f"Received: groups={groups!r}"
        )
    blocks = squares.reshape(groups, rows // groups, groups, columns // groups)
    blocks = blocks.sum(axis=(1, 3))
    total = blocks.sum()
    return float(groups * np.trace(blocks) / total) if total else 1.0


def plot_correlation(
    matrices: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    first: str = "conv2c",
    second: str = "conv3a",
) -> None:
    """Draws absolute correlations between the filters of two layers, as images.

    Ioannou et al., Deep Roots (CVPR 2017), Figure 6: the more filter groups, the
    sharper the diagonal of blocks.

    Args:
        matrices: As from `filter_correlation`, by the name of the network. They
            share one scale of colours, which ends at the 0.999 quantile.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.
        first: Name of the layer whose filters are the rows.
        second: Name of the layer whose filters are the columns.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no matrices, or the format is not known.
        OSError: The file cannot be written.
    """
    path = checks.path("path", path, required=True)
    for name, value in (("first", first), ("second", second)):
        checks.text(name, value, empty=False)
    checks.instance("matrices", matrices, Mapping, "matrices by name of the network")
    matrices = {name: np.abs(matrix) for name, matrix in matrices.items()}
    if not matrices:
        raise ValueError(
            f"`matrices` must hold at least one matrix. Received: matrices={matrices!r}"
        )
    highest = max(np.quantile(matrix, 0.999) for matrix in matrices.values())
    figure, panels = figures.panels(len(matrices), 3.1, 2.9)
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        image = axes.imshow(
            matrix, cmap="inferno", vmin=0, vmax=highest or 1, interpolation="nearest"
        )
        axes.set_title(name, fontsize=10)
        axes.locator_params(nbins=4, steps=(1, 2, 5, 10), integer=True)
        axes.tick_params(labelsize=8)
    figure.supxlabel(f"filters of {second}", fontsize=10)
    figure.supylabel(f"filters of {first}", fontsize=10)
    beyond = any(matrix.max() > highest for matrix in matrices.values())
    bar = figure.colorbar(
        image, ax=panels, extend="max" if beyond else "neither", pad=0.01
    )
    bar.set_label("absolute correlation", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figures.save(figure, path)


class _Moments:
    """Sums of samples and of their products, whatever the number of samples."""

    def __init__(self, origin):
        # Near the samples, so that squares do not drown the variance; and a filter that
        # never changes has sums of exactly 0.
        self._origin = origin
        self._count = 0
        self._sums = np.zeros(len(origin))
        self._products = np.zeros((len(origin), len(origin)))

    def add(self, samples):
        samples = samples - self._origin
        self._count += len(samples)
        self._sums += samples.sum(axis=0)
        self._products += samples.T @ samples

    def covariance(self) -> np.ndarray:
        means = self._sums / self._count
        return self._products / self._count - np.outer(means, means)


def _responses_model(model, names) -> keras.Model:
    check_built(model)
    maps = {
        layer.name: layer
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer) and _is_map(layer)
    }
    for argument, name in names.items():
        if name not in maps:
            raise ValueError(
                f"`{argument}` must be the name of a layer with an output of shape "
                f"(batch, height, width, filters). Received: {argument}={name!r}; "
                f"such layers of {model.name!r} are {', '.join(maps) or 'none'}"
            )
    for layer in model.layers:
        if getattr(layer, "data_format", None) == "channels_first":
            raise ValueError(
                "`model` must be channels last: built with the image data format "
                f"'channels_last'. Received: model={model.name!r}, whose layer "
                f"{layer.name!r} is channels first"
            )
    return keras.Model(model.inputs, [maps[name].output for name in names.values()])


def _is_map(layer) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 4


def _samples(maps, size) -> np.ndarray:
    """Returns the responses `[positions, filters]`, repeated up to a size."""
    height, width, filters = maps.shape
    rows, columns = (  # whose centre is nearest
        (2 * np.arange(length) + 1) * own // (2 * length)
        for own, length in zip((height, width), size, strict=True)
    )
    return maps[rows[:, None], columns].reshape(-1, filters).astype("float64")


def _scaling(covariance) -> np.ndarray:
    variances = np.diag(covariance)
    deviations = np.sqrt(np.where(variances > 0, variances, 1.0))
    return np.diag(np.where(variances > 0, 1 / deviations, 0.0))


def _whitening(covariance) -> np.ndarray:
    """Returns the inverse square root, of the directions in which there is variance."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _LEAST_VARIANCE * values[-1]
    vectors = vectors[:, kept]
    return vectors / np.sqrt(values[kept]) @ vectors.T
