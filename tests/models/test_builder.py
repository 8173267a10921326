"""What every constructor shares: arguments as keras.applications takes them."""

import inspect
import re

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots import create_model
from keras_roots.models import builder

pytestmark = pytest.mark.usefixtures("shallow", "zero_weights")

# Each fails in its own way; all are counts of groups that make no sense.
BAD_ROOTS = [0, -1, 1.5, True, "8", None, (), (1, 1, 1, 1, 1), (2, 0), [4, -2, 1, 1]]


def small(model_name, facts, **kwargs):
    shape = (facts.side, facts.side, 3)
    return create_model(model_name, **{"input_shape": shape, **kwargs})


def test_the_tests_know_every_model(all_facts):
    assert sorted(all_facts) == keras_roots.list_models()


def test_defaults(model_name, facts):
    model = create_model(model_name)
    assert model.input_shape == (None, facts.size, facts.size, 3)
    assert model.output_shape == (None, facts.classes)
    assert model.layers[-1].activation is keras.activations.softmax


def test_constructor_is_exported(model_name, facts):
    constructor = getattr(keras_roots, facts.constructor)
    shape = (facts.side, facts.side, 3)
    assert constructor(input_shape=shape, name="mine").name == "mine"


def test_every_argument_is_documented(facts):
    constructor = getattr(keras_roots, facts.constructor)
    text = inspect.getdoc(constructor)
    for name in inspect.signature(constructor).parameters:
        assert re.search(rf"(\b{name}:|`{name}\b)", text), name
    assert f"({facts.size}, {facts.size}, 3)" in text
    assert "{size}" not in text


@pytest.mark.parametrize("channels", [1, 4])
def test_without_top(model_name, facts, channels):
    model = create_model(
        model_name, include_top=False, input_shape=(None, None, channels)
    )
    assert model.output_shape == (None, None, None, facts.features)


def test_without_top_the_size_is_free(model_name, facts):
    model = create_model(model_name, include_top=False)
    assert model.input_shape == (None, None, None, 3)
    shape = create_model(
        model_name, include_top=False, input_shape=(123, 99, 3)
    ).output_shape
    assert model.compute_output_shape((None, 123, 99, 3)) == shape
    assert shape[-1] == facts.features and None not in shape[1:]


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling(model_name, facts, pooling):
    model = create_model(model_name, include_top=False, pooling=pooling)
    assert model.output_shape == (None, facts.features)
    model.set_weights([_ramp(value) for value in model.get_weights()])
    features = keras.Model(model.input, model.layers[-1].input)
    images = np.random.default_rng(0).uniform(0, 255, (1, facts.side, facts.side, 3))
    pool = {"avg": np.mean, "max": np.max}[pooling]
    np.testing.assert_allclose(
        model(images), pool(np.asarray(features(images)), (1, 2)), rtol=1e-4, atol=1e-6
    )


def _ramp(value):
    return np.cos(np.arange(value.size)).reshape(value.shape) * 0.1 + (value == 1)


def test_input_tensor(model_name, facts):
    images = keras.Input((2 * facts.side, 2 * facts.side, 4), name="custom")
    inner = keras.layers.Conv2D(3, 2, strides=2)(images)
    model = create_model(model_name, include_top=False, input_tensor=inner)
    assert [tensor.name for tensor in model.inputs] == ["custom"]
    assert model.output_shape[-1] == facts.features
    assert any(layer.output is inner for layer in model.layers)


def test_input_tensor_with_top(model_name, facts):
    images = keras.Input((facts.side, facts.side, 3))
    model = create_model(model_name, input_tensor=images, classes=7)
    assert model.output_shape == (None, 7)


def test_classes_and_logits(model_name, facts):
    images = np.random.default_rng(0).uniform(0, 255, (2, facts.side, facts.side, 3))
    soft = small(model_name, facts, classes=7)
    logits = small(model_name, facts, classes=7, classifier_activation=None)
    weights = [_ramp(value) for value in soft.get_weights()]
    soft.set_weights(weights)
    logits.set_weights(weights)
    assert soft.output_shape == logits.output_shape == (None, 7)
    raw = np.asarray(logits(images), "float64")
    assert not np.allclose(raw.sum(-1), 1)
    odds = np.exp(raw - raw.max(-1, keepdims=True))
    np.testing.assert_allclose(
        soft(images), odds / odds.sum(-1, keepdims=True), atol=1e-5
    )


def test_channels_first(model_name, facts):
    last = create_model(model_name)
    keras.config.set_image_data_format("channels_first")
    model = create_model(model_name)
    assert model.input_shape == (None, 3, facts.size, facts.size)
    assert model.output_shape == (None, facts.classes)
    assert [w.shape for w in model.weights] == [w.shape for w in last.weights]
    features = create_model(model_name, include_top=False)
    assert features.output_shape == (None, facts.features, None, None)


def test_root_as_tuple_is_the_groups_of_every_stage(model_name, facts):
    model = small(model_name, facts, root=facts.root)
    groups = [getattr(layer, "groups", 1) for layer in model.layers]
    assert max(groups) > 1
    topology = {"root_alexnet": lambda root, k: root}.get(
        model_name, lambda root, k: max(1, root >> k)
    )
    stages = {name: 2 for name in ("root_nin", "root_nin_thin", "root_convnet")}
    stages |= {name: 3 for name in ("root_alexnet", "root_resnet20")}
    root = tuple(topology(facts.root, k) for k in range(stages.get(model_name, 4)))
    other = small(model_name, facts, root=root)
    assert [getattr(layer, "groups", 1) for layer in other.layers] == groups
    assert other.name != model.name


def test_numpy_integers_are_integers():
    assert create_model("root_nin", root=np.int64(8)).name == "root_nin_8"


@pytest.mark.parametrize("root", BAD_ROOTS, ids=repr)
def test_bad_root(model_name, root):
    with pytest.raises(ValueError, match=r"`root`.*Received: root=") as error:
        create_model(model_name, root=root)
    assert repr(root) in str(error.value)


def test_root_that_does_not_divide(model_name, facts):
    with pytest.raises(ValueError, match=f"{facts.grouped!r} 5 groups") as error:
        create_model(model_name, root=5)
    listed = re.search(r"Roots that work: (\[.*\])", str(error.value))[1]
    assert listed == str(facts.roots)


def test_groups_of_a_stage_that_do_not_divide():
    with pytest.raises(ValueError, match="'conv3_block1_2_conv' 5 groups") as error:
        create_model("root_resnet50", root=(1, 5, 1, 1))
    works = [1, 2, 4, 8, 16, 32, 64, 128]
    assert f"Groups that work for stage 1: {works}" in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"topology": "star"}, r"`topology` must be one of .*topology='star'"),
        ({"pooling": "sum"}, r"`pooling` must be .*pooling='sum'"),
        ({"classes": 0}, r"`classes` must be .*classes=0"),
        ({"classes": True}, r"`classes` must be .*classes=True"),
        ({"classes": 2.5}, r"`classes` must be .*classes=2.5"),
        ({"input_shape": (32, 32)}, r"`input_shape` must be a tuple of three"),
        ({"input_shape": (1, 32, 32, 3)}, r"`input_shape` must be a tuple of three"),
        ({"input_shape": (227, 227, None)}, r"`input_shape` must give the number of"),
        ({"input_shape": (None, 227, 3)}, r"static `input_shape`.*\(None, 227, 3\)"),
        ({"input_shape": (3, 227, 3)}, r"at least (\d+)x\1.*\(3, 227, 3\)"),
        ({"weights": "imagenet"}, r"`weights` should be .*weights='imagenet'"),
        ({"weights": "no/such.weights.h5"}, r"`weights` should be .*no/such"),
    ],
    ids=str,
)
def test_bad_argument(model_name, arguments, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        create_model(model_name, **arguments)


def test_smallest_input(model_name, facts):
    with pytest.raises(ValueError, match="at least") as error:
        create_model(model_name, include_top=False, input_shape=(1, 1, 3))
    least = int(re.search(r"at least (\d+)x", str(error.value))[1])
    shape = create_model(
        model_name, include_top=False, input_shape=(least, least, 3)
    ).output_shape
    assert min(shape[1:3]) >= 1
    assert create_model(model_name, input_shape=(least, least, 3)).output_shape


def test_input_shape_must_be_that_of_the_tensor(model_name):
    with pytest.raises(ValueError, match="`input_shape` must be the shape of"):
        create_model(
            model_name,
            input_tensor=keras.Input((128, 128, 3)),
            input_shape=(96, 96, 3),
        )


def test_weights_need_three_channels(tmp_path):
    path = str(tmp_path / "any.weights.h5")
    create_model("root_nin").save_weights(path)
    with pytest.raises(ValueError, match="must have 3 channels"):
        create_model("root_nin", weights=path, input_shape=(8, 8, 1))


def test_unknown_normalisation():
    with pytest.raises(ValueError, match="`dataset` must be one of .*'mnist'"):
        builder.preprocess_input(np.zeros((1, 4, 4, 3)), "mnist")


def test_preprocess_input_channels_first(all_facts):
    keras.config.set_image_data_format("channels_first")
    images = np.full((1, 3, 2, 2), 100.0)
    found = np.asarray(builder.preprocess_input(images, "imagenet"))
    facts = all_facts["root_resnet50"]
    mean, std = np.array(facts.mean), np.array(facts.std)
    np.testing.assert_allclose(found[0, :, 0, 0], (100 - mean) / std, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_take_the_mean_colour(channels, all_facts):
    x = np.full((1, 2, 2, channels), 100.0)
    facts = all_facts["root_nin"]
    mean, std = np.mean(facts.mean), np.mean(facts.std)
    expected = np.full_like(x, (100 - mean) / std)
    found = builder.preprocess_input(x, "cifar10")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
