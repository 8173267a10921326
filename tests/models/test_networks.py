"""What the networks are, layer by layer, and what filter groups do in them."""

import keras
import numpy as np
import pytest
from helpers import assign_random, pixels

from keras_roots import create_model
from keras_roots.layers import GroupedConv2D


def small(model_name, facts, **kwargs):
    shape = (facts.side, facts.side, 3)
    return create_model(model_name, **{"input_shape": shape, **kwargs})


def grouped_layers(model):
    return [layer for layer in model.layers if isinstance(layer, GroupedConv2D)]


@pytest.mark.usefixtures("shallow", "zero_weights")
def test_root_1_is_made_of_plain_convolutions(model_name, facts):
    model = small(model_name, facts, root=1)
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert convolutions
    assert {type(layer) for layer in convolutions} == {keras.layers.Conv2D}
    assert {layer.groups for layer in convolutions} == {1}


@pytest.mark.usefixtures("shallow")
def test_groups_do_not_see_each_other(model_name, facts):
    model = small(model_name, facts, root=facts.root, include_top=False)
    grouped = grouped_layers(model)
    assert grouped[0].name == facts.grouped
    rng = np.random.default_rng(0)
    for layer in (grouped[0], grouped[-1]):
        groups = layer.groups
        channels = groups * layer.kernel.shape[2]
        x = rng.normal(size=(1, 5, 5, channels)).astype("float32")
        changed = x.copy()
        changed[..., : channels // groups] += 1
        difference = np.abs(np.asarray(layer(changed)) - np.asarray(layer(x)))
        mine = layer.filters // groups
        assert difference[..., :mine].max() > 0.01
        assert difference[..., mine:].max() == 0


# The others have 1x1s that the dense network has not.
@pytest.mark.parametrize(
    "name", ["root_alexnet", "root_googlenet", "root_nin", "root_resnet50"]
)
@pytest.mark.usefixtures("shallow")
def test_groups_are_block_diagonal_kernels(name, all_facts):
    facts = all_facts[name]
    root = small(name, facts, root=facts.root, classes=10)
    dense = small(name, facts, root=1, classes=10)
    assign_random(root)
    assert grouped_layers(root)
    for layer in filter(lambda layer: layer.weights, root.layers):
        values = layer.get_weights()
        if isinstance(layer, GroupedConv2D):
            values[0] = block_diagonal(values[0], layer.groups)
        dense.get_layer(layer.name).set_weights(values)
    images = pixels(2, facts.side)
    expected = np.asarray(dense(images))
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(root(images), expected, rtol=1e-3, atol=1e-4)


def block_diagonal(kernel, groups):
    height, width, channels, filters = kernel.shape
    dense = np.zeros((height, width, channels * groups, filters), kernel.dtype)
    each = filters // groups
    for group in range(groups):
        mine = slice(group * each, (group + 1) * each)
        rows = slice(group * channels, (group + 1) * channels)
        dense[:, :, rows, mine] = kernel[..., mine]
    return dense


@pytest.mark.parametrize("name", ["root_convnet", "root_resnet20"])
def test_grouped_convolutions_get_a_1x1_that_mixes_them(name, all_facts):
    def mixing(model):
        return [layer for layer in model.layers if "_mix" in layer.name]

    assert not mixing(create_model(name))
    model = create_model(name, root=2)  # one group from the second stage on
    grouped = grouped_layers(model)
    assert {layer.groups for layer in grouped} == {2}
    mixers = mixing(model)
    assert len(mixers) == len(grouped)
    for layer, mixer in zip(grouped, mixers, strict=True):
        assert mixer.kernel_size == (1, 1) and mixer.groups == 1
        assert mixer.filters == layer.filters
        assert mixer.name.startswith(layer.name.removesuffix("_conv"))


# In the others a shortcut passes by the first groups.
@pytest.mark.parametrize(
    "name", ["root_alexnet", "root_convnet", "root_googlenet", "root_nin"]
)
def test_groups_are_mixed_again(name, all_facts, shallow):
    facts = all_facts[name]
    model = small(name, facts, root=facts.root, include_top=False, pooling="avg")
    assign_random(model)
    first = grouped_layers(model)[0]
    features = keras.Model(first.output, model.output)
    shape = first.output.shape[1:]
    x = np.random.default_rng(0).uniform(0, 1, (1, *shape)).astype("float32")
    changed = x.copy()
    changed[..., : shape[-1] // first.groups] += 0.5
    difference = np.abs(np.asarray(features(changed)) - np.asarray(features(x)))
    assert np.mean(difference > 0) > 0.5
