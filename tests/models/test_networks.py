"""What the networks are, layer by layer, and what filter groups do in them."""

import math

import keras
import numpy as np
import pytest

from keras_roots import create_model
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.models import preact_resnet


def small(model_name, facts, **kwargs):
    shape = (facts.side, facts.side, 3)
    return create_model(model_name, **{"input_shape": shape, **kwargs})


def randomise(model, seed=0):
    """Gives weights, biases and statistics values that all matter."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith(("variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith("kernel"):
            fan_in = math.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, fan_in**-0.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 0.2, weight.shape))


def pixels(count, side, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (count, side, side, 3)).astype("float32")


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
    randomise(root)
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
    randomise(model)
    first = grouped_layers(model)[0]
    features = keras.Model(first.output, model.output)
    shape = first.output.shape[1:]
    x = np.random.default_rng(0).uniform(0, 1, (1, *shape)).astype("float32")
    changed = x.copy()
    changed[..., : shape[-1] // first.groups] += 0.5
    difference = np.abs(np.asarray(features(changed)) - np.asarray(features(x)))
    assert np.mean(difference > 0) > 0.5


@pytest.mark.usefixtures("zero_weights")
def test_resnet_50_is_that_of_keras_applications():
    ours = create_model("root_resnet50", root=1)
    theirs = keras.applications.ResNet50(weights=None)

    def convolutions(model):
        return {
            layer.name: (layer.kernel.shape, layer.strides, layer.output.shape)
            for layer in model.layers
            if isinstance(layer, keras.layers.Conv2D)
        }

    assert convolutions(ours) == convolutions(theirs)
    names = {layer.name for layer in theirs.layers} - {"input_layer"}
    padding = {"conv1_pad", "pool1_pad"}
    assert {name for name in names if "input" not in name} - padding == {
        layer.name for layer in ours.layers if "input" not in layer.name
    } - {"normalization"}


# Name of an intermediate feature: its shape at the default size, from the papers.
FEATURES = {
    "root_alexnet": {
        "conv1_relu": (55, 55, 96),
        "conv1_norm": (27, 27, 96),
        "conv2_norm": (13, 13, 256),
        "conv5_pool": (6, 6, 256),
        "fc6": (4096,),
        "fc7": (4096,),
    },
    "root_convnet": {
        "conv1_norm": (16, 16, 32),
        "conv2_norm": (8, 8, 32),
        "conv3_relu": (8, 8, 64),
        "conv3_pool": (4, 4, 64),
    },
    "root_googlenet": {
        "pool1": (56, 56, 64),
        "pool2": (28, 28, 192),
        "inception_3a": (28, 28, 256),
        "inception_3b": (28, 28, 480),
        "pool3": (15, 15, 480),
        "inception_4a": (15, 15, 512),
        "inception_4e": (15, 15, 832),
        "pool4": (8, 8, 832),
        "inception_5b": (8, 8, 1024),
        "avg_pool": (2, 2, 1024),
    },
    "root_nin": {
        "conv1c_relu": (32, 32, 96),
        "conv2c_relu": (16, 16, 192),
        "conv3a_relu": (8, 8, 192),
    },
    "root_resnet20": {
        "conv1_relu": (32, 32, 16),
        "conv2_block3_out": (32, 32, 16),
        "conv3_block3_out": (16, 16, 32),
        "conv4_block3_out": (8, 8, 64),
    },
    "root_resnet50": {
        "pool1_pool": (56, 56, 64),
        "conv2_block3_out": (56, 56, 256),
        "conv3_block4_out": (28, 28, 512),
        "conv4_block6_out": (14, 14, 1024),
        "conv5_block3_out": (7, 7, 2048),
    },
    "root_resnet200": {
        "conv2_block3_out": (56, 56, 256),
        "conv3_block24_out": (28, 28, 512),
        "conv4_block36_out": (14, 14, 1024),
        "conv5_block3_out": (7, 7, 2048),
        "post_relu": (7, 7, 2048),
    },
}


@pytest.mark.usefixtures("zero_weights")
def test_features_are_reachable_by_name(model_name):
    model = create_model(model_name)
    for name, shape in FEATURES[model_name].items():
        assert model.get_layer(name).output.shape == (None, *shape), name


@pytest.mark.usefixtures("zero_weights")
def test_resnet_200_activates_before_its_convolutions(monkeypatch):
    stages = {name: (2, *rest) for name, (_, *rest) in preact_resnet.STAGES.items()}
    monkeypatch.setattr(preact_resnet, "STAGES", stages)
    model = create_model("root_resnet200", root=8)

    def before(name):
        return model.get_layer(name).input._keras_history.operation.name

    assert before("conv2_block1_1_conv") == before("conv2_block1_0_conv")
    assert before("conv2_block1_1_conv") == "pool1_pool"
    assert before("conv2_block2_1_conv") == "conv2_block2_preact_relu"
    assert before("conv3_block1_0_conv") == "conv3_block1_preact_relu"
    assert model.get_layer("conv3_block1_1_conv").strides == (1, 1)
    assert model.get_layer("conv3_block1_2_conv").strides == (2, 2)
    assert before("avg_pool") == "post_relu"
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert not any(layer.use_bias for layer in convolutions)


@pytest.mark.parametrize(
    ("name", "arguments", "rates"),
    [
        ("root_alexnet", {}, [0.5, 0.5]),
        ("root_googlenet", {}, [0.4]),
        ("root_googlenet", {"aux_heads": True}, [0.4, 0.7, 0.7]),
        ("root_resnet50", {}, []),
    ],
)
@pytest.mark.usefixtures("shallow", "zero_weights")
def test_dropout(name, arguments, rates, all_facts):
    model = small(name, all_facts[name], **arguments)
    dropouts = [x for x in model.layers if isinstance(x, keras.layers.Dropout)]
    assert sorted(layer.rate for layer in dropouts) == rates


class TestGoogLeNet:
    def test_auxiliary_heads(self, zero_weights):
        model = create_model("root_googlenet", aux_heads=True, classes=7)
        names = ["predictions", "aux1_predictions", "aux2_predictions"]
        assert model.output_names == names
        assert [output.shape for output in model.outputs] == [(None, 7)] * 3
        for head, channels in (("aux1", 512), ("aux2", 528)):
            pool = model.get_layer(f"{head}_pool")
            assert pool.output.shape == (None, 5, 5, channels)
            assert model.get_layer(f"{head}_fc").kernel.shape == (3200, 1024)
        heads = {"aux1": "inception_4a", "aux2": "inception_4d"}
        for head, module in heads.items():
            read = model.get_layer(f"{head}_pool").input._keras_history.operation.name
            assert read == module

    def test_heads_can_be_dropped(self, shallow, tmp_path):
        arguments = {"root": 8, "input_shape": (32, 32, 3), "classes": 3}
        model = create_model("root_googlenet", aux_heads=True, **arguments)
        randomise(model)
        alone = keras.Model(model.input, model.outputs[0])
        path = str(tmp_path / "alone.weights.h5")
        alone.save_weights(path)
        loaded = create_model("root_googlenet", weights=path, **arguments)
        images = pixels(2, 32, seed=5)
        np.testing.assert_allclose(loaded(images), model(images)[0], rtol=1e-5)

    def test_heads_need_the_top(self):
        with pytest.raises(ValueError, match="`aux_heads=True`.*include_top=False"):
            create_model("root_googlenet", aux_heads=True, include_top=False)

    def test_window_of_the_last_pool_fits_the_map(self, shallow, zero_weights):
        model = create_model("root_googlenet", input_shape=(32, 224, 3), classes=3)
        assert model.get_layer("avg_pool").pool_size == (2, 7)
        assert model.get_layer("avg_pool").output.shape == (None, 1, 2, 1024)

    def test_what_reads_a_module_is_initialised_as_one_layer(self):
        model = create_model("root_googlenet", input_shape=(32, 32, 3))
        # inception_4e: 256 + 160 + 32 + 128 filters of 1x1.
        deviation = (2 / 576) ** 0.5
        for part in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj"):
            kernel = np.asarray(model.get_layer(f"inception_4e_{part}").kernel)
            assert kernel.std() == pytest.approx(deviation, rel=0.03)
        # He et al.: 2 over the fan-in, which groups divide.
        layer = model.get_layer("inception_4e_3x3")
        assert layer.groups == 2
        assert np.std(layer.kernel) == pytest.approx((2 / (9 * 80)) ** 0.5, rel=0.03)

    def test_equal_shapes_get_different_weights(self):
        model = create_model("root_googlenet", input_shape=(32, 32, 3))
        kernels = [
            np.asarray(model.get_layer(f"inception_3b_{part}").kernel)
            for part in ("1x1", "3x3_reduce")
        ]
        assert kernels[0].shape == kernels[1].shape
        assert not np.allclose(*kernels)

    def test_batch_norm_neither_scales_nor_shifts(self, shallow, zero_weights):
        model = create_model("root_googlenet", input_shape=(32, 32, 3))
        kind = keras.layers.BatchNormalization
        norms = [layer for layer in model.layers if isinstance(layer, kind)]
        assert norms and not any(layer.trainable_weights for layer in norms)
        convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
        assert len(norms) == len(convolutions)
        assert all(layer.use_bias for layer in convolutions)


@pytest.mark.parametrize(
    ("layer", "deviation"),
    [("conv1", 0.0001), ("conv2", 0.01), ("conv3", 0.01), ("predictions", 0.01)],
)
def test_convnet_starts_from_caffes_weights(layer, deviation):
    kernel = create_model("root_convnet").get_layer(layer).kernel
    assert np.std(kernel) == pytest.approx(deviation, rel=0.05)
