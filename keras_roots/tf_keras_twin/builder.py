"""Building the twin of a model, layer by layer along its graph."""

from collections.abc import Callable

import keras
import tensorflow as tf
import tf_keras

from keras_roots import graph
from keras_roots.tf_keras_twin.arithmetic import as_layer
from keras_roots.tf_keras_twin.translation import trained_weights, translate


def translated(name, layer, inputs, operation=None, **changed) -> tf_keras.layers.Layer:
    """Returns the counterpart of a layer, with its weights if it has any.

    Args:
        name: Name of the counterpart.
        layer: A layer of Keras 3.
        inputs: What it is called on.
        operation: What of the graph the layer stands for; makes no difference.
        **changed: Arguments of the counterpart that differ from the layer's.

    Raises:
        ValueError: The layer has no counterpart.
    """
    twin = translate(name, layer, **changed)
    weights = trained_weights(layer)
    if weights:
        with tf.name_scope(name):
            twin.build(inputs.shape)
        twin.set_weights(weights)
    return twin


def build(
    model: keras.Model,
    make: Callable = translated,
    start: Callable = lambda tensor: tensor,
) -> tf_keras.Model:
    """Builds a functional model of tf_keras over the graph of one of Keras 3.

    Args:
        model: A functional model, or a Sequential one that is built.
        make: Function of a layer's name, the layer of Keras 3, what it is called on,
            and the `operation` of the graph that it stands for, itself or a function of
            keras.ops, to what is called in its place.
        start: Function of each input to what the graph starts with.

    Raises:
        ValueError: The model is subclassed, not built, or has a layer without a
            counterpart.
    """
    model = graph.expand_composites(model)
    _check_calls(model)
    inputs = [
        tf_keras.Input(
            shape=tensor.shape[1:],
            batch_size=tensor.shape[0],
            dtype=tensor.dtype,
            name=tensor._keras_history.operation.name,
        )
        for tensor in model.inputs
    ]
    made = {}

    def call(name, operation, args, kwargs):
        # Keras names arguments that were not given.
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        layer, args, kwargs = as_layer(operation, args, kwargs, type(inputs[0]))
        if id(operation) not in made:
            made[id(operation)] = make(name, layer, *args[:1], operation=operation)
        return made[id(operation)](*args, **kwargs)

    outputs = graph.walk(model, [start(tensor) for tensor in inputs], call)
    return tf_keras.Model(
        _structured(model, "input", inputs),
        _structured(model, "output", outputs),
        name=model.name,
    )


def _structured(model, which, tensors):
    """Arranges tensors as the model's inputs or outputs are."""
    if isinstance(model, keras.Sequential):
        return tensors[0]
    return keras.tree.pack_sequence_as(getattr(model, which), tensors)


def _check_calls(model):
    """Refuses arguments in calls of nested models, which a walk does not pass on."""
    nodes_by_depth = keras.Function(model.inputs, model.outputs)._nodes_by_depth
    for node in [node for nodes in nodes_by_depth.values() for node in nodes]:
        if not graph.is_graph(node.operation):
            continue
        given = node.arguments
        _, given = graph.positional(node.operation, given.args, given.kwargs)
        given = {k: v for k, v in given.items() if v is not None}
        if given:
            raise ValueError(
                "`model` cannot have a twin in tf_keras. Received: the nested model "
                f"{node.operation.name!r} called with {given}. For BatchNormalization "
                "that keeps its statistics set `trainable = False` instead"
            )
        _check_calls(node.operation)
