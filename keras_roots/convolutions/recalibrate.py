"""BatchNormalization's statistics, estimated anew."""

import warnings

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import samples
from keras_roots.utils import checks


def recalibrate(
    model: keras.Model, images: np.ndarray, batch_size: int = 100
) -> keras.Model:
    """Estimates BatchNormalization's moving statistics anew on sample images.

    After a decomposition, layers see other means and variances than they were trained
    with. One pass over the images suffices: every BatchNormalization normalises a batch
    by the batch's own statistics, as in training, and those of all batches are pooled
    exactly, `mean = E[mean_b]` and `variance = E[mean_b^2 + variance_b] - mean^2`
    (Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021, section 3). All else,
    dropout for instance, is in inference mode. Layers with `trainable=False` are
    recalibrated too. A layer that is called several times pools all calls. Layers of
    subclasses keep their statistics, with a warning.

    Args:
        model: A functional or Sequential model with one input. It stays as it is.
        images: Training images `(n, height, width, channels)`, as the model takes them;
            a few hundred, shuffled: batches of one class would give other statistics.
        batch_size: Images per batch, at most; batches are of nearly equal size.

    Returns:
        A copy of the model, not compiled; equal to it if there is nothing to estimate.

    Raises:
        ValueError: There are no images or they do not fit the model; statistics are no
            finite numbers; a BatchNormalization is out of reach, in a wrapper or a
            subclassed model for instance.

    Example:
        >>> smaller = recalibrate(decompose(model, error=0.1), images[:500])
    """
    checks.integer("batch_size", batch_size)
    model = graph.expand_composites(model)
    images = samples.Samples.of(model, images)
    copy = samples.runnable(model)
    pools = {
        id(layer): _Pool(name, layer)
        for name, layer in graph.operations(copy)
        if graph.is_a(layer, keras.layers.BatchNormalization)
    }
    _check_reached(copy, pools)

    def call(name, operation, args, kwargs):
        if id(operation) not in pools:
            return samples.infer(operation, args, kwargs)
        pools[id(operation)].add(args[0])
        return operation(args[0], training=False)

    for batch in images.batches(batch_size):
        graph.walk(copy, batch, call)
    for pool in pools.values():
        pool.assign()
    # Only the weights were of interest: the layers stay what they were.
    recalibrated = graph.rewrite(model, lambda layer: None)
    recalibrated.set_weights(copy.get_weights())
    return recalibrated


def _check_reached(model, pools):
    known = {id(layer) for _, layer in graph.operations(model)}
    others = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and id(layer) not in pools
    ]
    hidden = [layer.name for layer in others if id(layer) not in known]
    if others and not hidden:
        reason = graph.obstacle(others[0], keras.layers.BatchNormalization)
        warnings.warn(
            f"These layers keep their statistics: {[layer.name for layer in others]}, "
            f"the first of them {reason}",
            stacklevel=3,
        )
    if hidden:
        raise ValueError(
            "`model` must have its BatchNormalization in functional or Sequential "
            "models: within wrappers and subclassed models it cannot be reached. "
            f"Received: model={model.name!r} with {hidden} out of reach. "
            + graph.how_to_open(
                graph.closed_layers(model, keras.layers.BatchNormalization)
            )
        )


class _Pool:
    """Statistics of what one BatchNormalization gets, over all batches."""

    def __init__(self, name, layer):
        self._name = name
        self._layer = layer
        self._count = 0
        self._mean = self._square = 0.0

    def add(self, inputs):
        """Adds a batch, and makes the layer normalise by its statistics."""
        axes = list(range(len(inputs.shape)))
        del axes[self._layer.axis]
        batch = keras.ops.moments(keras.ops.cast(inputs, "float32"), axes)
        mean, variance = map(keras.ops.convert_to_numpy, batch)
        if not np.isfinite(mean).all() or not np.isfinite(variance).all():
            raise ValueError(
                f"The inputs of layer {self._name!r} are no finite numbers: weights of "
                "layers before it hold NaN or are too large. "
                "Received: NaN or infinite statistics"
            )
        self._set(mean, variance)
        count = np.prod([inputs.shape[axis] for axis in axes])
        mean = mean.astype("float64")
        self._count += count
        self._mean += count * mean
        self._square += count * (mean**2 + variance)

    def assign(self):
        """Sets the layer's moving statistics to those of all batches."""
        mean = self._mean / self._count
        self._set(mean, np.maximum(self._square / self._count - mean**2, 0))

    def _set(self, mean, variance):
        self._layer.moving_mean.assign(mean)
        self._layer.moving_variance.assign(variance)
