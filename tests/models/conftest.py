"""The registry's models as every test of models goes over them."""

from typing import NamedTuple

import keras
import pytest
from keras.initializers import VarianceScaling

from keras_roots import create_model, list_models
from keras_roots.models import googlenet, resnet


class Facts(NamedTuple):
    """What the tests know of a model, from its paper.

    Attributes:
        constructor: Name in `keras_roots`.
        features: Channels of the last feature map.
        classes: Default classes.
        size: Default side of the input.
        side: Side of a small input.
        root: A root that works.
        roots: Every root that works, for the default topology.
        grouped: The first layer with groups.
        module: Module of the family.
        mean: Mean of each channel of its data set's pixels.
        std: What these are divided by: their deviation.
    """

    constructor: str
    features: int
    classes: int
    size: int
    side: int
    root: int
    roots: list[int]
    grouped: str
    module: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


_POWERS = [1, 2, 4, 8, 16, 32, 64]
_CIFAR10 = (125.307, 122.950, 113.865), (62.993, 62.089, 66.705)
_IMAGENET = (123.675, 116.280, 103.530), (58.395, 57.120, 57.375)
FACTS = {
    "root_alexnet": Facts(
        "RootAlexNet",
        256,
        1000,
        227,
        67,
        2,
        _POWERS[:6],
        "conv2",
        "alexnet",
        *_IMAGENET,
    ),
    "root_convnet": Facts(
        "RootConvNet",
        64,
        10,
        32,
        8,
        4,
        _POWERS[:6],
        "conv2",
        "convnet",
        _CIFAR10[0],
        (1, 1, 1),
    ),
    "root_googlenet": Facts(
        "RootGoogLeNet",
        1024,
        1000,
        224,
        32,
        8,
        _POWERS[:6],
        "conv2",
        "googlenet",
        *_IMAGENET,
    ),
    "root_nin": Facts(
        "RootNiN",
        192,
        10,
        32,
        8,
        8,
        [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96],
        "conv2a",
        "nin",
        *_CIFAR10,
    ),
    "root_nin_thin": Facts(
        "RootNiNThin",
        128,
        10,
        32,
        8,
        8,
        _POWERS,
        "conv2a",
        "nin",
        *_CIFAR10,
    ),
    "root_resnet20": Facts(
        "RootResNet20",
        64,
        10,
        32,
        8,
        4,
        _POWERS[:5],
        "conv2_block1_1_conv",
        "resnet20",
        *_CIFAR10,
    ),
    "root_resnet50_thin": Facts(
        "RootResNet50Thin",
        1536,
        1000,
        224,
        32,
        16,
        [1, 2, 3, 4, 6, 8, 12, 16, 24, 48],
        "conv2_block1_2_conv",
        "resnet",
        *_IMAGENET,
    ),
    "root_resnet50": Facts(
        "RootResNet50",
        2048,
        1000,
        224,
        32,
        16,
        _POWERS,
        "conv2_block1_2_conv",
        "resnet",
        *_IMAGENET,
    ),
    "root_resnet200": Facts(
        "RootResNet200",
        2048,
        1000,
        224,
        32,
        16,
        _POWERS,
        "conv2_block1_2_conv",
        "resnet",
        *_IMAGENET,
    ),
}


def pytest_generate_tests(metafunc):
    """Runs a test that takes `model_name` over the registry."""
    if "model_name" in metafunc.fixturenames:
        metafunc.parametrize("model_name", list_models())


@pytest.fixture
def facts(model_name):
    return FACTS[model_name]


@pytest.fixture(scope="session")
def all_facts():
    return FACTS


@pytest.fixture
def shallow(monkeypatch):
    """Leaves out most blocks of the deep networks: the same code, sooner built."""
    monkeypatch.setattr(resnet, "BLOCKS", dict.fromkeys(resnet.BLOCKS, (1, 1, 1, 1)))
    kept = ("inception_4a", "inception_4d", "inception_5a", "inception_5b")
    modules = {name: googlenet.MODULES[name] for name in kept}
    monkeypatch.setattr(googlenet, "MODULES", modules)


@pytest.fixture
def zero_weights(monkeypatch):
    """Skips random initialisation, where values do not matter."""
    monkeypatch.setattr(
        VarianceScaling,
        "__call__",
        lambda self, shape, dtype=None: keras.ops.zeros(shape, dtype),
    )


@pytest.fixture
def feature_shapes(zero_weights):
    """Function `(name, features)` to the shapes of a model's features, by layer."""

    def shapes(name, features):
        model = create_model(name)
        return {each: model.get_layer(each).output.shape[1:] for each in features}

    return shapes


@pytest.fixture
def dropout_rates(shallow, zero_weights):
    """Function `(name, **arguments)` to the rates of a model's dropout, sorted."""

    def rates(name, **arguments):
        model = create_model(name, **arguments)
        layers = [x for x in model.layers if isinstance(x, keras.layers.Dropout)]
        return sorted(layer.rate for layer in layers)

    return rates
