import keras
import numpy as np
import pytest

from keras_roots.convolutions import patches
from keras_roots.layers.grouped_conv2d import GroupedConv2D

CASES = {
    "3x3 same": ({"kernel_size": 3, "padding": "same"}, (7, 6)),
    "stride 2, same, even": (
        {"kernel_size": 3, "padding": "same", "strides": 2},
        (8, 6),
    ),
    "stride 2, same, odd": (
        {"kernel_size": 3, "padding": "same", "strides": 2},
        (7, 9),
    ),
    "5x3 valid": ({"kernel_size": (5, 3)}, (9, 8)),
    "stride 2, valid": ({"kernel_size": 3, "strides": (2, 3)}, (9, 11)),
    "dilated": ({"kernel_size": 3, "dilation_rate": 2, "padding": "same"}, (9, 8)),
    "1x1": ({"kernel_size": 1}, (4, 5)),
    "groups": ({"kernel_size": 3, "padding": "same", "groups": 2}, (6, 6)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [5, 1000])
def test_patches_times_kernel_are_answers(case, count):
    arguments, sides = CASES[case]
    layer = GroupedConv2D(4, use_bias=False, **arguments)
    inputs = np.random.default_rng(0).normal(size=(3, *sides, 6)).astype("float32")
    answers = layer(inputs)
    chosen = patches.choose_positions(layer, inputs, count, np.random.default_rng(1))
    seen = patches.patches_at(layer, inputs, chosen)
    per_group = zip(
        np.split(seen, layer.groups, axis=-1),
        np.split(layer.kernel.numpy(), layer.groups, axis=-1),
        strict=True,
    )
    wanted = np.concatenate(
        [np.einsum("bphwc,hwcn->bpn", part, kernel) for part, kernel in per_group], -1
    )
    np.testing.assert_allclose(
        patches.answers_at(layer, answers, chosen), wanted, atol=1e-5
    )


def test_positions_are_within_the_output_and_all_of_a_small_one():
    layer = keras.layers.Conv2D(2, 3, strides=2)
    rng = np.random.default_rng(0)
    few = patches.choose_positions(layer, np.zeros((2, 9, 9, 3)), 100, rng)
    np.testing.assert_array_equal(few, [range(16)] * 2)
    many = patches.choose_positions(layer, np.zeros((50, 21, 21, 3)), 10, rng)
    assert many.shape == (50, 10) and set(many.ravel()) == set(range(100))


def test_channels_first():
    layer = keras.layers.Conv2D(4, 3, data_format="channels_first")
    layer.build((None, 3, 8, 7))
    inputs = np.random.default_rng(0).normal(size=(2, 3, 8, 7)).astype("float32")
    chosen = patches.choose_positions(layer, inputs, 9, np.random.default_rng(1))
    last = keras.layers.Conv2D(4, 3, data_format="channels_last")
    last.build((None, 8, 7, 3))
    moved = np.moveaxis(inputs, 1, -1)
    np.testing.assert_array_equal(
        patches.patches_at(layer, inputs, chosen),
        patches.patches_at(last, moved, chosen),
    )
    answers = np.arange(2 * 4 * 6 * 5, dtype="float32").reshape(2, 4, 6, 5)
    np.testing.assert_array_equal(
        patches.answers_at(layer, answers, chosen),
        patches.answers_at(last, np.moveaxis(answers, 1, -1), chosen),
    )


@pytest.mark.parametrize("shape", [(6,), (5, 6), (3, 4, 6), (2, 3, 2, 6)])
def test_dense_layers_answer_at_every_position(shape):
    layer = keras.layers.Dense(4, bias_initializer="ones")
    inputs = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    answers = layer(inputs)
    rng = np.random.default_rng(1)
    for count in (2, 1000):
        chosen = patches.choose_positions(layer, inputs, count, rng)
        assert chosen.shape == (3, min(count, int(np.prod(shape[:-1]))))
        seen = patches.patches_at(layer, inputs, chosen)
        found = patches.respond(layer, seen).reshape(3, -1, 4)
        wanted = patches.answers_at(layer, answers, chosen)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        flat = answers.numpy().reshape(3, -1, 4)
        for image, places in enumerate(chosen):
            np.testing.assert_array_equal(wanted[image], flat[image, places])
