"""Which operation follows which."""

import keras
import pytest
from helpers import Subclassed
from keras import layers

from keras_roots.graph import Connections, heads


def _model():
    """A branch that is joined, and a model within the model."""
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="in")], name="m")
    inputs = keras.Input((4,))
    first = layers.Dense(4, name="first")(inputs)
    branch = layers.ReLU(name="branch")(first)
    joined = layers.Add(name="sum")([branch, first])
    return keras.Model(inputs, layers.Dense(2, name="last")(inner(joined)))


def test_sources_and_followers():
    model = _model()
    connections = Connections(model)
    first, branch, joined, inner, last = map(
        model.get_layer, ("first", "branch", "sum", "m", "last")
    )
    assert connections.sources(joined) == [branch, first]
    assert connections.follower(branch) is joined
    assert connections.follower(first) is None  # two take its output
    assert connections.follower(joined) is inner
    assert connections.follower(inner) is last
    assert connections.follower(last) is None  # an output of the model
    assert connections.sources(layers.ReLU()) == []


def test_models_within_the_model():
    model = _model()
    inner = model.get_layer("m")
    (source,) = Connections(model).sources(inner.get_layer("in"))
    assert isinstance(source, keras.layers.InputLayer)


def test_an_output_of_the_model_counts_as_taken():
    inputs = keras.Input((4,))
    one = layers.Dense(4)
    two = layers.Dense(4)
    x = one(inputs)
    connections = Connections(keras.Model(inputs, [x, two(x)]))
    assert connections.follower(one) is None


def test_operations_that_are_called_twice_are_absent():
    inputs = keras.Input((4,))
    twice, last = layers.Dense(4), layers.Dense(2)
    connections = Connections(keras.Model(inputs, last(twice(twice(inputs)))))
    assert connections.sources(twice) == []
    assert connections.follower(twice) is None
    assert connections.sources(last) == [twice]


def test_a_model_without_a_graph_is_refused():
    with pytest.raises(ValueError, match="functional or Sequential"):
        Connections(Subclassed())


def test_followers_that_are_called_twice_are_absent():
    inputs = keras.Input((4,))
    one, twice = layers.Dense(4), layers.ReLU()
    connections = Connections(keras.Model(inputs, twice(one(twice(inputs)))))
    assert connections.follower(one) is None


def test_calls_in_a_model_within_count_too():
    layer = layers.Dense(4)
    inner = keras.Sequential([keras.Input((4,)), layer])
    inputs = keras.Input((4,))
    connections = Connections(keras.Model(inputs, inner(layer(inputs))))
    assert connections.sources(layer) == []


def test_layers_of_a_model_that_is_called_twice_have_their_places():
    one, two = layers.Dense(4), layers.Dense(4)
    inner = keras.Sequential([keras.Input((4,)), one, two])
    inputs = keras.Input((4,))
    connections = Connections(keras.Model(inputs, inner(inner(inputs))))
    assert connections.follower(one) is two
    assert connections.sources(inner) == []


def test_the_shape_that_all_calls_have():
    same, other, apart = (layers.ReLU(name=n) for n in ("same", "other", "apart"))
    inputs = keras.Input((8, 8, 3))
    x = other(same(same(inputs)))
    model = keras.Model(inputs, other(layers.AveragePooling2D(2)(x)))
    apart(inputs)
    same(keras.Input((4, 4, 3)))  # not in the model
    connections = Connections(model)
    assert connections.input(same).shape == connections.output(same).shape
    assert connections.input(same).shape == (None, 8, 8, 3)
    assert connections.input(other) is None and connections.output(other) is None
    assert connections.input(apart) is None


def test_a_path_of_operations_that_follow_each_other_alone():
    one, two, three = (layers.Dense(4, name=name) for name in ("one", "two", "three"))
    inputs = keras.Input((4,))
    x = inputs
    for layer in (one, two, three, one, two, three):  # called again in the same order
        x = layer(x)
    model = keras.Model(inputs, x)
    assert Connections(model).path(one, "three") == [one, two, three]
    assert Connections(model).path(one, "one") == [one]
    assert Connections(model).path(two, "none") == []
    branches = keras.Model(inputs, [x, two(one(inputs))])
    assert Connections(branches).path(one, "three") == []
    joined = keras.Model(inputs, three(layers.Add(name="sum")([two(inputs), inputs])))
    assert Connections(joined).path(two, "three") == []


def test_heads_are_the_last_kernels_before_the_outputs():
    inputs = keras.Input((8, 8, 3))
    body, one, two = (layers.Conv2D(4, 1, name=name) for name in ("body", "one", "two"))
    x = body(inputs)
    first = layers.Softmax()(layers.GlobalAveragePooling2D()(one(x)))
    second = layers.BatchNormalization()(two(layers.ReLU()(x)))
    model = keras.Model(inputs, {"first": first, "second": second})
    assert heads(model) == [one, two]
    outer = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(2.0), model])
    assert heads(keras.Model(outer.inputs, outer.outputs)) == [one, two]
    assert heads(keras.Model(inputs, [first, layers.Add()([x, two(x)])])) == [
        one,
        body,
        two,
    ]
