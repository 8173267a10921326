"""Pruning and clustering with tensorflow-model-optimization."""

import math
from collections.abc import Callable, Iterable

import keras

from keras_roots.graph import Selection
from keras_roots.tf_keras_twin.requirements import require_tfmot
from keras_roots.utils import checks


def prunable(
    model: keras.Model,
    sparsity: float,
    end_step: int,
    begin_step: int = 0,
    layers: Iterable[str] | Callable[[keras.Layer], bool] | None = None,
    *,
    initial_sparsity: float = 0.0,
    frequency: int = 100,
):
    """Returns a model's twin whose smallest weights become zero while it trains.

    Sparsity rises from step to step as `1 - (1 - t)**3` (Zhu and Gupta, To prune, or
    not to prune, 2017), in each kernel by itself.

    Args:
        model: A model that `to_tf_keras` takes. It stays as it is.
        sparsity: Part of the weights that is zero at the end, below 1.
        end_step: Training step at which that is reached.
        begin_step: Training step at which it starts, or up to `frequency` later.
        layers: Names of convolution or dense layers, or a function of a layer; `None`
            for all but depthwise and frozen ones.
        initial_sparsity: Part of the weights that is zero from the start.
        frequency: Steps between choices of the weights to be zero.

    Returns:
        A `tf_keras.Model` to compile, and to fit with `pruning_callback()` among the
        callbacks; `from_tf_keras` takes it as it is.

    Raises:
        ValueError: `to_tf_keras` refuses the model, or an argument is impossible.
        ImportError: tensorflow-model-optimization is not installed.

    Example:
        >>> sparse = prunable(model, 0.8, end_step=1000)
        >>> sparse.compile("sgd", "sparse_categorical_crossentropy")
        >>> sparse.fit(images, labels, callbacks=[pruning_callback()])
        >>> model = from_tf_keras(sparse, model)
    """
    checks.part("sparsity", sparsity, zero=True)
    checks.part("initial_sparsity", initial_sparsity, zero=True)
    begin_step = checks.integer("begin_step", begin_step, least=0)
    end_step = checks.integer("end_step", end_step, least=begin_step + 1)
    frequency = checks.integer("frequency", frequency)
    # tensorflow-model-optimization counts from the start, and may miss the end.
    frequency = min(frequency, end_step - begin_step)
    begin_step += (end_step - begin_step) % frequency
    tfmot = require_tfmot()
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=initial_sparsity,
        final_sparsity=sparsity,
        begin_step=begin_step,
        end_step=end_step,
        power=3,
        frequency=frequency,
    )
    return _wrapped(
        model,
        lambda layer: tfmot.sparsity.keras.prune_low_magnitude(layer, schedule),
        layers,
        _has_kernel,
        "convolution or dense layers that can be trained",
    )


def pruning_callback():
    """Returns the callback that `fit` needs for a model made by `prunable`."""
    return require_tfmot().sparsity.keras.UpdatePruningStep()


def clusterable(
    model: keras.Model,
    clusters: int = 16,
    layers: Iterable[str] | Callable[[keras.Layer], bool] | None = None,
    *,
    preserve_zeros: bool = False,
):
    """Returns a model's twin whose kernels have few different weights each.

    The clusters start by k-means++ and train with the weights. Files of such kernels
    compress well.

    Args:
        model: A model that `to_tf_keras` takes. It stays as it is.
        clusters: Number of different weights in a kernel.
        layers: Names of convolution or dense layers, or a function of a layer; `None`
            for all but depthwise and frozen ones, and those that have no more weights
            than clusters.
        preserve_zeros: Whether weights that are zero stay zero, after pruning.

    Returns:
        A `tf_keras.Model` to compile and fit; `from_tf_keras` takes it as it is.

    Raises:
        ValueError: `to_tf_keras` refuses the model, or an argument is impossible.
        ImportError: tensorflow-model-optimization is not installed.

    Example:
        >>> clustered = clusterable(model, 16)
        >>> clustered.compile("sgd", "sparse_categorical_crossentropy")
        >>> clustered.fit(images, labels)
        >>> model = from_tf_keras(clustered, model)
    """
    clusters = checks.integer("clusters", clusters, least=3 if preserve_zeros else 2)
    tfmot = require_tfmot()
    from keras_roots.tf_keras_twin import tf_keras_layers

    tfmot.clustering.keras.ClusterableLayer.register(tf_keras_layers.GroupedConv2D)
    return _wrapped(
        model,
        lambda layer: tfmot.clustering.keras.cluster_weights(
            layer, clusters, preserve_sparsity=preserve_zeros
        ),
        layers,
        lambda layer: (
            _has_kernel(layer) and math.prod(_clustered(layer).shape) > clusters
        ),
        f"convolution or dense layers of more than {clusters} weights to train",
    )


def strip(model):
    """Returns a model without the wrappers of pruning and clustering.

    Args:
        model: A `tf_keras.Model` made by `prunable` or `clusterable`, trained.

    Returns:
        A `tf_keras.Model` with the weights that the wrappers gave it.

    Raises:
        ImportError: tensorflow-model-optimization is not installed.
    """
    require_tfmot()
    from keras_roots.tf_keras_twin import wrappers

    return wrappers.strip(model)


def _wrapped(model, wrap, layers, qualifies, kind):
    from keras_roots.tf_keras_twin import builder

    chosen = Selection(layers, qualifies, kind)

    def make(name, layer, inputs, operation):
        twin = builder.translated(name, layer, inputs)
        return wrap(twin) if chosen(operation, name) else twin

    twin = builder.build(model, make)
    chosen.check(model)
    return twin


def _has_kernel(layer) -> bool:
    kinds = (
        keras.layers.Conv2D,
        keras.layers.Conv2DTranspose,
        keras.layers.Dense,
        keras.layers.SeparableConv2D,
    )
    return isinstance(layer, kinds) and layer.trainable


def _clustered(layer):
    """Returns the kernel that tensorflow-model-optimization clusters."""
    separable = isinstance(layer, keras.layers.SeparableConv2D)
    return layer.pointwise_kernel if separable else layer.kernel
