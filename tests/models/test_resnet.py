"""ResNet-50 and pre-activation ResNet-200."""

import json
from importlib import resources

import keras
import pytest

import keras_roots
from keras_roots import create_model, profile
from keras_roots.models import resnet

# Name of an intermediate feature: its shape at the default size, from the paper.
FEATURES_50 = {
    "pool1_pool": (56, 56, 64),
    "conv2_block3_out": (56, 56, 256),
    "conv3_block4_out": (28, 28, 512),
    "conv4_block6_out": (14, 14, 1024),
    "conv5_block3_out": (7, 7, 2048),
}
THIN = {name: (*shape[:2], shape[2] * 3 // 4) for name, shape in FEATURES_50.items()}
FEATURES_200 = {
    "conv2_block3_out": (56, 56, 256),
    "conv3_block24_out": (28, 28, 512),
    "conv4_block36_out": (14, 14, 1024),
    "conv5_block3_out": (7, 7, 2048),
    "post_relu": (7, 7, 2048),
}


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("root_resnet50", FEATURES_50),
        ("root_resnet50_thin", THIN),
        ("root_resnet200", FEATURES_200),
    ],
)
def test_features_are_reachable_by_name(name, features, feature_shapes):
    assert feature_shapes(name, features) == features


@pytest.mark.parametrize(
    "name", ["root_resnet50", "root_resnet50_thin", "root_resnet200"]
)
def test_there_is_no_dropout(name, dropout_rates):
    assert dropout_rates(name) == []


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


@pytest.mark.usefixtures("zero_weights")
def test_resnet_200_activates_before_its_convolutions(monkeypatch):
    monkeypatch.setitem(resnet.BLOCKS, "root_resnet200", (2, 2, 2, 2))
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


def test_resnet_200_is_wrong_in_the_paper_as_explained(zero_weights):
    papers = resources.files("keras_roots.zoo") / "papers.json"
    # Output channels counted twice, and the classifier as 2048 + 1000.
    row = json.loads(papers.read_text())["resnet200"]["rows"][0]
    counted = profile(keras_roots.RootResNet200(root=1))
    published = sum(
        layer.macs * layer.output_shape[-1]
        for layer in counted.layers
        if layer.type != "Dense"
    )
    assert published + 2048 + 1000 == pytest.approx(row["paper_macs"], rel=1e-3)


@pytest.mark.usefixtures("zero_weights")
def test_the_thin_network_has_three_quarters_of_the_filters():
    """And about the multiply-adds of 64 groups."""
    thin, dense = (
        [
            (layer.name, layer.filters, layer.kernel_size, layer.strides)
            for layer in create_model(name, root=1).layers
            if isinstance(layer, keras.layers.Conv2D)
        ]
        for name in ("root_resnet50_thin", "root_resnet50")
    )
    assert thin == [(name, 3 * count // 4, *rest) for name, count, *rest in dense]
    macs = profile(create_model("root_resnet50_thin")).macs
    assert macs == pytest.approx(2_114_860_072, rel=0.04)  # Table 3, root-64
