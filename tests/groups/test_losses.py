"""What filter groups lose, against NumPy."""

import keras
import numpy as np
import pytest

from keras_roots.groups import assignment, channel_order, losses
from keras_roots.groups.rootify import rootify


def _model(kernel, inputs=4):
    model = keras.Sequential(
        [
            keras.Input((4, 4, inputs)),
            keras.layers.Conv2D(
                kernel.shape[-1], kernel.shape[:2], padding="same", name="conv"
            ),
            keras.layers.Dense(2, name="end"),
        ]
    )
    layer = model.get_layer("conv")
    layer.set_weights([kernel, layer.get_weights()[1]])
    return model


def _kernel(seed=0, inputs=4, filters=4, size=3):
    shape = (size, size, inputs, filters)
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _images(seed=1, count=60, channels=4):
    return np.random.default_rng(seed).normal(size=(count, 4, 4, channels))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_lost_responses_are_the_residual_of_least_squares(groups):
    kernel, images = _kernel(), _images()
    images[..., 2] += 0.7 * images[..., 0]  # what one group knows of another
    lost = losses.lost_responses(_model(kernel), {"conv": (groups,)}, images)["conv"]

    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = np.array(
        [
            padded[image, row : row + 3, column : column + 3]
            for image in range(len(images))
            for row in range(4)
            for column in range(4)
        ]
    )
    answers = np.einsum("rhwc,hwcn->rn", rows, kernel)
    energy = np.square(kernel.astype("float64")).sum(axis=(0, 1))
    grouping = assignment.group_channels(energy, groups, inputs=range(4))
    left = 0.0
    for own, filters in zip(
        np.split(grouping.inputs, groups),
        np.split(grouping.filters, groups),
        strict=True,
    ):
        seen = rows[..., own].reshape(len(rows), -1)
        seen = np.concatenate([seen, np.ones((len(rows), 1))], axis=1)
        wanted = answers[:, filters]
        fitted = np.linalg.lstsq(seen, wanted, rcond=None)[0]
        left += np.square(wanted - seen @ fitted).sum()
    total = np.square(answers - answers.mean(axis=0)).sum()
    assert lost == pytest.approx([left / total], abs=1e-3)


def test_nothing_is_lost_where_groups_see_the_same():
    images = _images(channels=2)
    images = np.concatenate([images, images], axis=-1)
    model = _model(_kernel())
    (grouping,) = channel_order.groupings(model, {"conv": (2,)})["conv"]
    assert grouping.kept < 0.8
    lost = losses.lost_responses(model, {"conv": (2,)}, images)["conv"]
    assert lost == pytest.approx([0], abs=1e-3)


def test_a_layer_that_answers_nothing_loses_nothing():
    model = _model(np.zeros((3, 3, 4, 4), "float32"))
    lost = losses.lost_responses(model, {"conv": (1, 4)}, _images())["conv"]
    np.testing.assert_array_equal(lost, 0)


def test_images_must_fit():
    with pytest.raises(ValueError, match="`images`"):
        losses.lost_responses(_model(_kernel()), {"conv": (2,)}, np.zeros((2, 5, 5, 4)))


def _rows(images):
    """What a 3x3 meets at every position, image by image."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.array(
        [
            [
                padded[image, row : row + 3, column : column + 3]
                for row in range(4)
                for column in range(4)
            ]
            for image in range(len(images))
        ]
    )


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("activation", ["softmax", None])
def test_output_changes_against_numpy(activation, use_bias):
    kernel, images = _kernel(), _images(count=30) + 0.5
    model = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            keras.layers.Conv2D(4, 3, padding="same", use_bias=use_bias, name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation=activation, name="end"),
        ]
    )
    bias = np.full(4, 0.3) if use_bias else np.zeros(4)
    model.get_layer("conv").set_weights([kernel, bias] if use_bias else [kernel])
    head, offset = model.get_layer("end").get_weights()
    found = losses.output_changes(model, {"conv": (1, 2)}, images)["conv"]

    rows = _rows(images)
    answers = np.einsum("iphwc,hwcn->ipn", rows, kernel)
    grouping = assignment.group_channels(
        np.square(kernel.astype("float64")).sum(axis=(0, 1)), 2, inputs=range(4)
    )
    fitted = np.zeros_like(answers)
    for own, filters in zip(
        np.split(grouping.inputs, 2), np.split(grouping.filters, 2), strict=True
    ):
        seen = rows[..., own].reshape(16 * len(images), -1)
        seen = np.concatenate([seen, np.ones((len(seen), 1))], axis=1)
        wanted = answers[..., filters].reshape(len(seen), -1)
        best = seen @ np.linalg.lstsq(seen, wanted, rcond=None)[0]
        fitted[..., filters] = best.reshape(len(images), 16, -1)
    before, after = (
        (maps + bias).mean(axis=1) @ head + offset for maps in (answers, fitted)
    )
    if activation:
        before, after = (
            np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (before, after)
        )
        expected = (before * np.log(before / after)).sum(-1).mean()
    else:
        variance = np.square(before - before.mean(axis=0)).mean()
        expected = np.square(before - after).mean() / variance / 2
    assert expected > 1e-3
    assert found.alone == pytest.approx([0, expected], rel=0.05)
    lost = losses.lost_responses(model, {"conv": (1, 2)}, images)["conv"]
    np.testing.assert_array_equal(found.responses, lost)
    # Nothing of the model itself has changed.
    np.testing.assert_array_equal(model.get_layer("conv").get_weights()[0], kernel)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_a_1x1_behind_groups_that_know_everything_together_makes_up_for_all(activation):
    """Two filters span the two inputs of their group; which 1x1s know no negatives."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 4)),
            keras.layers.Conv2D(4, 1, activation=activation, name="conv"),
            keras.layers.Dense(2),
        ]
    )
    kernel = _kernel(size=1)
    model.get_layer("conv").set_weights([kernel, np.ones(4)])
    counts = {"conv": (1, 2)}
    found = losses.output_changes(model, counts, _images(), mixed=["conv"])["conv"]
    plain = losses.output_changes(model, counts, _images())["conv"]
    np.testing.assert_array_equal(plain.mixed, plain.alone)
    np.testing.assert_array_equal(plain.alone, found.alone)
    assert found.alone[1] > 0.05
    assert found.mixed[0] == 0
    expected = found.alone[1] if activation else 0
    assert found.mixed[1] == pytest.approx(expected, abs=1e-4)


def test_a_layer_that_the_answers_do_not_depend_on_changes_none():
    inputs = keras.Input((4, 4, 4))
    both = [
        keras.layers.Conv2D(4, 3, padding="same", name=name)(inputs)
        for name in ("seen", "unseen")
    ]
    outputs = keras.layers.Dense(2, name="end")(keras.layers.Concatenate()(both))
    model = keras.Model(inputs, [outputs, outputs[..., :1]])
    kernel, bias = model.get_layer("end").get_weights()
    kernel[4:] = 0
    model.get_layer("end").set_weights([kernel, bias])
    counts = {"seen": (2,), "unseen": (2,)}
    found = losses.output_changes(model, counts, _images())
    assert found["unseen"].alone == pytest.approx([0], abs=1e-9)
    assert found["seen"].alone > 0.01
    responses = losses.lost_responses(model, counts, _images())
    assert responses["unseen"] > 0.1


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_change_is_that_of_the_network_with_groups(groups):
    """Of a layer added to its own inputs, whose channels cannot be sorted."""
    inputs = keras.Input((4, 4, 3))
    stem = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    added = keras.layers.Conv2D(4, 3, padding="same", name="conv")(stem)
    outputs = keras.layers.Dense(2)(keras.layers.Add()([stem, added]))
    model = keras.Model(inputs, outputs)
    kernel = np.roll(np.eye(4), 1, axis=1)
    whole = np.zeros((3, 3, 4, 4))
    whole[1, 1] = kernel
    model.get_layer("conv").set_weights([whole, np.zeros(4)])
    counts, images = {"conv": (groups,)}, _images(channels=3)
    found = losses.output_changes(model, counts, images)["conv"].alone
    small = rootify(model, {"conv": groups}, carry_over="responses", images=images)
    before, after = (x.predict(images, verbose=0) for x in (model, small))
    changed = (
        np.square(before - after).mean()
        / np.square(before - before.mean(axis=0)).mean()
    )
    assert (found[0] > 1e-3) == (groups > 1)
    assert found == pytest.approx([changed / 2], rel=0.05, abs=1e-6)
