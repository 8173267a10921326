"""Which operation follows which."""

import keras
import pytest
from helpers import Subclassed
from keras import layers

from keras_roots.graph import Connections


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
