"""What becomes of a model before it is trained."""

import dataclasses

import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.graph import output_layers
from keras_roots.training.trainer.prepare import (
    compile_model,
    mean_colour,
    prepare,
)
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(3, 8, 0.02)


def test_the_recipe_reaches_the_model():
    model = keras_roots.RootResNet20(
        classes=3, input_shape=(8, 8, 3), classifier_activation=None
    )
    recipe = dataclasses.replace(
        RECIPE,
        weight_decay=1e-3,
        decay_multipliers=(("predictions", 10.0),),
        precision="conv_bfloat16",
    )
    prepared = prepare(model, recipe, synchronized=True)
    kinds = {type(layer) for layer in prepared.layers}
    assert keras_roots.layers.BatchNormalization in kinds
    for layer in prepared.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert layer.compute_dtype == "bfloat16"
            assert layer.dtype == "float32"
        else:
            assert layer.compute_dtype == "float32"
        if isinstance(layer, keras.layers.BatchNormalization):
            assert layer.synchronized
    kernels = [w.numpy() for w in model.trainable_weights if w.name == "kernel"]
    *convolutions, dense = [float((kernel**2).sum()) for kernel in kernels]
    want = 5e-4 * sum(convolutions) + 5e-3 * dense
    assert float(sum(prepared.losses)) == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("activation", ["softmax", "linear"])
def test_a_classifier_within_a_model_gives_logits(activation):
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation=activation),
        ]
    )
    outer = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Normalization(), inner]
    )
    assert output_layers(outer) == [inner.layers[-1]]
    prepared = prepare(outer, RECIPE)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    kernel, bias = inner.get_weights()
    want = images.reshape(2, -1) @ kernel + bias
    np.testing.assert_allclose(np.asarray(prepared(images)), want, atol=1e-4)


def test_mixed_bfloat16_keeps_float32_logits():
    model = keras_roots.RootNiN(input_shape=(8, 8, 3), classifier_activation=None)
    prepared = prepare(model, dataclasses.replace(RECIPE, precision="mixed_bfloat16"))
    assert prepared(np.zeros((1, 8, 8, 3))).dtype == "float32"
    assert prepared.get_layer("conv2a_relu").compute_dtype == "bfloat16"


def test_a_network_that_is_no_classifier_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Activation("relu")])
    with pytest.raises(ValueError, match="must end in a softmax or in logits.*relu"):
        prepare(model, RECIPE)


def test_the_layers_of_several_outputs():
    inputs = keras.Input((4,))
    first, second = (keras.layers.Dense(3, name=name) for name in ("one", "two"))
    model = keras.Model(inputs, [second(inputs), first(inputs)])
    assert output_layers(model) == [second, first]


@pytest.mark.parametrize(
    ("layer", "colour"),
    [
        (keras.layers.Rescaling(1 / 64, -2.0, name="normalization"), [128, 128, 128]),
        (
            keras.layers.Rescaling([0.5, 0.25, 1], [-1, -2, 0], name="normalization"),
            [2, 8, 0],
        ),
        (keras.layers.Rescaling(1 / 64, -2.0), [0, 0, 0]),
        (keras.layers.Normalization(name="normalization"), [0, 0, 0]),
    ],
)
def test_the_colour_that_becomes_zero(layer, colour):
    model = keras.Sequential([keras.Input((8, 8, 3)), layer, keras.layers.Flatten()])
    found = mean_colour(model)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, colour)


def test_with_an_initial_size_images_may_have_any():
    model = keras_roots.RootNiN(input_shape=(8, 8, 3), classifier_activation=None)
    small = keras_roots.RootNiN(input_shape=(6, 6, 3), classifier_activation=None)
    small.set_weights(model.get_weights())
    prepared = prepare(model, dataclasses.replace(RECIPE, initial_size=6))
    assert prepared.input_shape == (None, None, None, 3)
    for network in (model, small):
        images = helpers.pixels(2, network.input_shape[1])
        want = network.predict(images, verbose=0)
        found = prepared.predict(images, verbose=0)
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_a_network_within_one_may_have_any_size():
    inner = helpers.convolutions()
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, inner(keras.layers.Rescaling(0.1)(inputs)))
    prepared = prepare(model, dataclasses.replace(RECIPE, initial_size=7))
    assert prepared(np.zeros((2, 7, 7, 3))).shape == (2, 3)


def _ending_in(*layers):
    return keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3, name="conv"), *layers]
    )


@pytest.mark.parametrize(
    ("layers", "size", "reason"),
    [
        ([keras.layers.Flatten(), keras.layers.Dense(3)], 6, "such as one that ends"),
        ([], 6, "whose outputs then have"),
        ([keras.layers.Reshape((-1,)), keras.layers.Dense(3)], 6, "such as one that"),
        ([keras.layers.GlobalAveragePooling2D()], 2, "takes images of other sizes"),
        ([keras.layers.GlobalAveragePooling2D()], 8, "must be smaller than.*8, 8"),
        ([keras.layers.GlobalAveragePooling2D()], 9, "must be smaller than.*8, 8"),
    ],
)
def test_a_network_of_one_size_has_no_initial_one(layers, size, reason):
    recipe = dataclasses.replace(RECIPE, initial_size=size)
    with pytest.raises(
        ValueError, match=f"`initial_size`.*{reason}|{reason}.*Received: initial_size="
    ) as error:
        prepare(_ending_in(*layers), recipe)
    assert f"initial_size={size}" in str(error.value)


def test_classes_weigh_the_same_however_many_images_they_have():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    recipe = dataclasses.replace(RECIPE, class_weight="balanced")
    compile_model(model, recipe, 10, np.array([6, 2, 0]))
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(8, 3)), np.array([0] * 6 + [1] * 2)
    losses = -np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    losses = losses[np.arange(8), labels]
    want = (losses[:6].mean() + losses[6:].mean()) / 2
    assert float(model.loss(np.eye(3)[labels], logits)) == pytest.approx(want, 1e-5)


def test_the_body_may_be_slower_than_the_classifier():
    model = helpers.convolutions()
    recipe = dataclasses.replace(RECIPE, body_rate=0.1, frozen_epochs=1)
    compile_model(prepare(model, recipe), recipe, 30)
    compiled = prepare(model, recipe)
    compile_model(compiled, recipe, 30)
    optimizer = compiled.optimizer
    assert (optimizer.body_rate, optimizer.frozen_steps) == (0.1, 10)
    last = [f"{model.layers[-1].name}/{name}" for name in ("kernel", "bias")]
    variables = compiled.trainable_variables
    assert [variables[n].path for n in optimizer.heads] == last


@pytest.mark.parametrize("wrapped", [False, True])
def test_heads_are_told_from_layers_of_their_names(wrapped):
    """A layer in the body has the head's name, or a wrapper is the head."""
    inner = keras.Sequential(
        [keras.Input((3, 4)), keras.layers.Dense(4, name="scores")], name="inner"
    )
    head = keras.layers.Dense(5, name="scores")
    if wrapped:
        head = keras.layers.TimeDistributed(head)
    inputs = keras.Input((3, 4))
    outputs = keras.layers.GlobalAveragePooling1D()(head(inner(inputs)))
    model = keras.Model(inputs, outputs)
    compile_model(model, dataclasses.replace(RECIPE, body_rate=0.0), 30)
    start = [np.array(weight) for weight in model.get_weights()]
    model.fit(
        np.ones((8, 3, 4), "float32"), np.eye(5, dtype="float32")[[0] * 8], verbose=0
    )
    moved = [
        bool(np.abs(now - before).max() > 0)
        for before, now in zip(start, model.get_weights(), strict=True)
    ]
    assert moved == [False, False, True, True]
