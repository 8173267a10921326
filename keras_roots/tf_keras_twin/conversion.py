"""Converting a model of Keras 3 to tf_keras, and its weights back."""

import collections

import keras

from keras_roots import graph
from keras_roots.tf_keras_twin.requirements import require_tf_keras, require_tfmot


def to_tf_keras(model: keras.Model):
    """Returns the twin of a model in tf_keras: same layers, names and weights.

    tensorflow-model-optimization works on such models only. Filter groups train at the
    speed of `keras_roots.layers.GroupedConv2D`. Layers of nested models become layers
    of the twin, by the names of both: `"outer/inner"`; shared layers stay shared.
    Regularizers and constraints are those of the model. Everything computes in float32,
    whatever the layers' dtype policies. Initialisers and seeds are left out.

    Args:
        model: A functional model, or a Sequential one that is built, of convolution,
            dense, pooling, normalisation, activation, merging and reshaping layers,
            sums and products of `keras.ops`, and layers of yours without weights. It
            stays as it is.

    Returns:
        A functional `tf_keras.Model`, not compiled.

    Raises:
        ValueError: The model is subclassed or not built; a layer has no counterpart in
            tf_keras (the message names it); Keras runs on another backend.
        ImportError: tf_keras is not installed.

    Example:
        >>> twin = to_tf_keras(keras_roots.RootNiN(root=8))
        >>> twin.get_layer("conv2a").groups
        8
    """
    require_tf_keras()
    from keras_roots.tf_keras_twin import builder

    return builder.build(model)


def from_tf_keras(twin, model: keras.Model) -> keras.Model:
    """Returns a copy of a model with the weights of its twin, by names of layers.

    Args:
        twin: The model's twin, trained or optimised, with or without the wrappers of
            tensorflow-model-optimization.
        model: The model that the twin was made from. It stays as it is.

    Returns:
        A `keras.Model` like `model`, not compiled. From quantisation-aware training it
        gets the weights before quantisation.

    Raises:
        ValueError: The twin lacks a layer of the model, or has it with other weights;
            it is no tf_keras model; the model is subclassed.
        ImportError: tf_keras or tensorflow-model-optimization is not installed.

    Example:
        >>> twin = to_tf_keras(model)
        >>> twin.compile("sgd", "sparse_categorical_crossentropy")
        >>> twin.fit(images, labels)
        >>> model = from_tf_keras(twin, model)
    """
    tf_keras = require_tf_keras()
    if not isinstance(twin, tf_keras.Model):
        raise ValueError(
            "`twin` must be a tf_keras model, as `to_tf_keras(model)` returns. "
            f"Received: twin={twin!r}"
        )
    require_tfmot()
    from keras_roots.tf_keras_twin import wrappers

    found = dict(wrappers.named_weights(twin))
    names = collections.defaultdict(list)  # a shared layer has several
    for name, layer in graph.operations(model):
        names[id(layer)].append(name)

    def replace(layer):
        shapes = _shapes(layer.get_weights())
        if not shapes or isinstance(layer, keras.layers.Normalization):
            return None  # what the twin has of it is constant
        known = names[id(layer)]
        name = next((name for name in known if name in found), known[0])
        if _shapes(found.get(name, [])) != shapes:
            raise ValueError(
                "`twin` must have the layers of `model`. Received: a twin that has "
                f"weights of shapes {_shapes(found.get(name, []))} for layer {name!r}, "
                f"not {shapes}"
            )
        return graph.Replacement([graph.copy_of(layer)], [found[name]])

    return graph.rewrite(model, replace)


def _shapes(weights) -> list[tuple[int, ...]]:
    return [weight.shape for weight in weights]
