import keras
import numpy as np
import pytest
from helpers import Subclassed, assert_same_outputs, assign_random, normal_images
from keras import layers, ops

import keras_roots
from keras_roots.graph import composite
from keras_roots.graph.composite import (
    closed_layers,
    expand_composites,
    how_to_open,
    register_composite,
)
from keras_roots.graph.walk import operations


class ConvBNAct(keras.layers.Layer):
    """A block without a configuration, as people write them."""

    def __init__(self, filters, kernel_size, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(filters, kernel_size, strides, padding="same")
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.5)

    def call(self, inputs, training=False):
        x = self.norm(self.conv(inputs), training=training)
        return self.drop(ops.relu(x), training=training)


class RepVGGBlock(keras.layers.Layer):
    """Branches of two sizes and an identity, which can be merged into one."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.branches = [
            keras.Sequential(
                [
                    layers.Conv2D(filters, size, padding="same", use_bias=False),
                    layers.BatchNormalization(),
                ]
            )
            for size in (3, 1)
        ]
        self.skip = layers.BatchNormalization()
        self.skips = True

    def call(self, inputs):
        x = layers.Add()([branch(inputs) for branch in self.branches])
        return ops.relu(layers.Add()([x, self.skip(inputs)]) if self.skips else x)


class Stage(keras.layers.Layer):
    """Composite layers within a composite layer, one of them called twice."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.first = ConvBNAct(filters, 3, name="first")
        self.rep = RepVGGBlock(filters)
        self.twice = ConvBNAct(filters, 1)

    def call(self, inputs):
        return self.twice(self.twice(self.rep(self.first(inputs))))


class Scaled(keras.layers.Layer):
    """A convolution, and a weight of its own."""

    def build(self, shape):
        self.conv = layers.Conv2D(6, 3)
        self.conv.build(shape)
        self.scale = self.add_weight(shape=(6,), initializer="ones", name="scale")

    def call(self, inputs):
        return self.conv(inputs) * self.scale


class Pair(keras.layers.Layer):
    """A layer of two tensors, in a list or not."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 1)

    def call(self, inputs, other=None):
        first, second = inputs if other is None else (inputs, other)
        return {"sum": self.conv(first) + second, "same": self.conv(second)}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Registers the classes of this page for one test."""
    monkeypatch.setattr(composite, "_CALLS", {})
    for layer_class in (ConvBNAct, RepVGGBlock, Stage):
        register_composite(layer_class)


def _network(*blocks, shape=(8, 8, 3)):
    inputs = keras.Input(shape)
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    for block in blocks:
        x = block(x)
    x = layers.GlobalAveragePooling2D()(x)
    return assign_random(keras.Model(inputs, layers.Dense(3, name="head")(x)))


def _shared():
    block = ConvBNAct(6, 3, name="block")
    return _network(block, layers.AveragePooling2D(2), block)


def _within_a_model():
    block = keras.Sequential([keras.Input((8, 8, 6)), RepVGGBlock(6, name="rep")])
    return _network(block, ConvBNAct(6, 3, name="block"))


def _structures():
    register_composite(Pair)
    inputs = keras.Input((8, 8, 3))
    pair = [layers.Conv2D(4, 1, name=name)(inputs) for name in "ab"]
    outputs = Pair(name="pair")(pair)
    x = layers.Concatenate()([outputs["sum"], outputs["same"]])
    return assign_random(keras.Model(inputs, layers.Flatten()(x)))


NETWORKS = {
    "a block": lambda: _network(ConvBNAct(6, 3, name="block")),
    "several": lambda: _network(
        ConvBNAct(6, 3, name="a"), RepVGGBlock(6, name="b"), ConvBNAct(4, 1, name="c")
    ),
    "nested": lambda: _network(Stage(6, name="stage")),
    "shared": _shared,
    "within a model": _within_a_model,
    "structures": _structures,
    "any size": lambda: _network(ConvBNAct(6, 3), shape=(None, None, 3)),
    "Sequential": lambda: assign_random(
        keras.Sequential(
            [keras.Input((8, 8, 3)), RepVGGBlock(3, name="rep"), layers.Flatten()]
        )
    ),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_network_without_composite_layers_computes_the_same(make, tmp_path):
    model = make()
    nodes = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    expanded = expand_composites(model)
    images = normal_images(4)
    assert_same_outputs(model, expanded, images)
    assert all(
        type(layer).__module__.startswith("keras.") for _, layer in operations(expanded)
    )
    assert nodes == [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    count = sum(np.prod(weight.shape) for weight in model.weights)
    assert sum(np.prod(weight.shape) for weight in expanded.weights) == count
    assert expand_composites(expanded) is expanded
    expanded.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    assert_same_outputs(model, loaded, images)


def test_training_is_training():
    model = _network(ConvBNAct(6, 3, name="block"))
    expanded = expand_composites(model)
    images = normal_images(30)
    norm = expanded.get_layer("block").get_layer("norm")
    before = np.asarray(norm.moving_mean)
    expanded(images, training=True)
    assert not np.allclose(before, norm.moving_mean)
    before = np.asarray(norm.moving_mean)
    expanded(images)
    np.testing.assert_array_equal(before, norm.moving_mean)


def test_names_come_from_attributes():
    model = _network(Stage(6, name="stage"), ConvBNAct(6, 3, name="block"))
    found = [
        name
        for name, layer in operations(expand_composites(model))
        if isinstance(layer, layers.Conv2D | layers.BatchNormalization)
    ]
    assert set(found) == {
        "stem",
        "stage/first/conv",
        "stage/first/norm",
        "stage/rep/branches_0/conv2d",
        "stage/rep/branches_0/batch_normalization",
        "stage/rep/branches_1/conv2d",
        "stage/rep/branches_1/batch_normalization",
        "stage/rep/skip",
        "stage/twice/conv",
        "stage/twice/norm",
        "block/conv",
        "block/norm",
    }


def test_what_does_not_learn_does_not_learn():
    model = _network(ConvBNAct(6, 3, name="block"))
    model.get_layer("block").trainable = False
    expanded = expand_composites(model)
    assert len(expanded.trainable_weights) == len(model.trainable_weights) == 4


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = _network(RepVGGBlock(6, name="rep"))
    images = normal_images(4)
    expected, found = (np.asarray(m(images)) for m in (model, expand_composites(model)))
    np.testing.assert_array_equal(expected, found)


def test_a_layer_in_another_state_is_another_model():
    block = RepVGGBlock(6, name="rep")
    model = _network(block)
    expand_composites(model)
    block.skips = False
    assert_same_outputs(model, expand_composites(model), normal_images(4))


TECHNIQUES = {
    "decompose": lambda model: keras_roots.decompose(model, error=1e-12, cost=None),
    "rootify": lambda model: keras_roots.rootify(model, root={"stage/first/conv": 1}),
    "recalibrate": lambda model: keras_roots.recalibrate(model, normal_images(4)),
    "pack_groups": lambda model: keras_roots.pack_groups(model, 4),
    "with_regularizer": lambda model: keras_roots.with_regularizer(
        model, keras.regularizers.L2(1e-3)
    ),
    "prune": lambda model: keras_roots.sparsity.prune(model, 0.0),
    "dead filters": keras_roots.sparsity.remove_dead_filters,
    "rewrite": lambda model: keras_roots.export.rewrite(model, "latency")[0],
}


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_techniques_reach_the_layers(technique):
    model = _network(Stage(6, name="stage"))
    changed = TECHNIQUES[technique](model)
    names = dict(operations(changed))
    assert any(name.startswith("stage/rep/branches_0/") for name in names)
    if technique != "recalibrate":
        assert_same_outputs(model, changed, normal_images(4))
    own = [layer for layer in names.values() if type(layer).__module__ == __name__]
    assert not own


def test_profile_counts_the_layers():
    model = _network(ConvBNAct(6, 3, name="block"))
    found = {layer.name: layer.macs for layer in keras_roots.profile(model).layers}
    assert found["block/conv"] == 8 * 8 * 9 * 6 * 6 + 6
    assert not keras_roots.profile(model).uncounted


def test_a_function_in_the_place_of_call():
    @register_composite
    class Scaling(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    assert Scaling in composite._CALLS

    def opened(layer, inputs):
        scale = layers.DepthwiseConv2D(1, use_bias=False)
        x = scale(layer.conv(inputs))
        scale.set_weights([np.reshape(layer.scale, (1, 1, 6, 1))])
        return x

    register_composite(Scaled, opened)
    model = _network(Scaled(name="scaled"))
    assert_same_outputs(model, expand_composites(model), normal_images(4))


def test_a_layer_of_two_arguments_is_named():
    register_composite(Pair)
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, Pair(name="pair")(inputs, inputs)["sum"])
    with pytest.raises(ValueError, match="'pair', a Pair, must be called on one arg"):
        expand_composites(model)


def test_what_cannot_be_opened_is_named():
    register_composite(ConvBNAct, lambda layer, inputs: 3)
    with pytest.raises(ValueError, match="'block', a ConvBNAct.*cannot be made"):
        expand_composites(_network(ConvBNAct(6, 3, name="block")))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((3,), "`layer_class` must be a class of layers.*3"),
        ((layers.Dense(3),), "`layer_class` must be a class"),
        ((dict,), "`layer_class` must be a class of layers"),
        ((layers.Conv2D,), "`layer_class` must be a class of your own"),
        ((ConvBNAct, 3), "`call` must be a function"),
        ((ConvBNAct, lambda layer: 3), "`call` must be a function"),
    ],
)
def test_bad_registrations(arguments, text):
    with pytest.raises(ValueError, match=text):
        register_composite(*arguments)


NO_GRAPH = [None, 3, "net.keras", Subclassed(), keras.Sequential([layers.Dense(2)])]
REFUSING = {
    "decompose": keras_roots.decompose,
    "rank_analysis": keras_roots.rank_analysis,
    "rootify": keras_roots.rootify,
    "profile": keras_roots.profile,
    "shrink": lambda model: keras_roots.shrink(model, 0.1),
    "recalibrate": lambda model: keras_roots.recalibrate(model, normal_images(2)),
    "pack_groups": keras_roots.pack_groups,
    "plan_compression": lambda model: keras_roots.plan_compression(
        model, normal_images(2), 0.5
    ),
    "compress": lambda model: keras_roots.compress(model, normal_images(2), 0.5),
    "with_regularizer": lambda model: keras_roots.with_regularizer(
        model, keras.regularizers.L2(1e-3)
    ),
    "without_regularizers": keras_roots.without_regularizers,
    "prune": lambda model: keras_roots.sparsity.prune(model, 0.5),
    "remove_dead_filters": keras_roots.sparsity.remove_dead_filters,
    "export.rewrite": lambda model: keras_roots.export.rewrite(model, "latency"),
}


@pytest.mark.parametrize("function", REFUSING.values(), ids=REFUSING)
def test_models_without_a_graph_are_refused(function):
    for model in NO_GRAPH:
        with pytest.raises(ValueError, match="`model` "):
            function(model)


def test_subclassed_models_become_functional_as_the_message_says():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(4, 3)

        def call(self, inputs):
            return ops.relu(self.conv(inputs))

    model = Own()
    expected = np.asarray(model(normal_images(2)))
    with pytest.raises(
        ValueError, match=r"keras.Model\(inputs, model.call\(inputs\)\)"
    ):
        expand_composites(model)
    inputs = keras.Input((8, 8, 3))
    functional = keras.Model(inputs, model.call(inputs))
    np.testing.assert_allclose(functional(normal_images(2)), expected, atol=1e-6)
    assert keras_roots.decompose(functional, ranks={functional.layers[1].name: 2})


CLOSED = {
    "decompose": keras_roots.decompose,
    "rootify": keras_roots.rootify,
    "rank_analysis": keras_roots.rank_analysis,
}


@pytest.mark.parametrize("function", CLOSED.values(), ids=CLOSED)
def test_closed_layers_are_named_with_what_opens_them(function, monkeypatch):
    monkeypatch.setattr(composite, "_CALLS", {})
    blocks = [ConvBNAct(3, 3, name=f"block{i}") for i in range(4)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *blocks])
    with pytest.raises(
        ValueError,
        match=r"`model` has no .*'block0' \(ConvBNAct\).* and 1 more.*"
        r"keras_roots.register_composite\(ConvBNAct\) would open",
    ):
        function(model)
    assert list(closed_layers(model, layers.Conv2D)) == [f"block{i}" for i in range(4)]
    assert not closed_layers(model, layers.Dense)
    assert how_to_open({}) == ""


class Opaque(ConvBNAct):
    """A block whose call asks for numbers, which symbolic tensors have not."""

    def call(self, inputs, training=False):
        if isinstance(inputs, keras.KerasTensor):
            raise ValueError("no numbers")
        return super().call(inputs, training)

    def compute_output_spec(self, inputs, training=False):
        return self.conv.compute_output_spec(inputs)


@pytest.mark.parametrize("layer_class", [Opaque, Scaled])
def test_layers_whose_call_says_too_little_need_a_function(layer_class):
    block = Scaled(name="block") if layer_class is Scaled else Opaque(6, 3)
    block.build((None, 8, 8, 6))
    inputs = keras.Input((8, 8, 6))
    x = layers.Dense(3, name="head")(layers.Flatten()(block(inputs)))
    model = keras.Model(inputs, x)
    nodes = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    name = layer_class.__name__
    with pytest.raises(
        ValueError,
        match=rf"register_composite\({name}, call\) would open. `call\(layer, inputs\)`"
        rf" must .* which the call of {name} does not: .*layers=\['head'\]",
    ):
        keras_roots.decompose(model)
    assert nodes == [len(layer._inbound_nodes) for layer in model._flatten_layers()]


class Forgetful(ConvBNAct):
    """A layer whose configuration lacks what its constructor needs."""

    def get_config(self):
        return keras.layers.Layer.get_config(self)


def test_a_layer_that_keras_cannot_copy_is_named_and_need_not_be_copied():
    model = _network(Forgetful(6, 3, name="block"))
    with pytest.raises(
        ValueError,
        match=r"(?s)'block', a Forgetful.*filters.*register_composite\(Forgetful\)",
    ):
        keras_roots.decompose(model)
    register_composite(Forgetful)
    changed = keras_roots.decompose(model, error=1e-12, cost=None)
    assert_same_outputs(model, changed, normal_images(4))
