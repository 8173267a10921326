"""Networks of keras.applications as a start: pixels, heads, sizes, errors.

Weights are random: nothing is downloaded.
"""

import keras
import numpy as np
import pytest
from keras.src.applications import imagenet_utils
from keras.src.utils import file_utils

import keras_roots
from keras_roots.training.data import datasets
from keras_roots.training.networks import applications
from keras_roots.training.trainer.prepare import prepare
from keras_roots.training.trainer.recipes import Recipe

# Networks by the way that their family prepares pixels, and that way: mean, deviation
# and order of red, green and blue (Keras's documentation).
_NETWORKS = {"tf": "MobileNetV2", "caffe": "ResNet50", "torch": "DenseNet121"}
_COLOURS = {
    "tf": ((127.5,) * 3, (127.5,) * 3, (0, 1, 2)),
    "caffe": ((123.68, 116.779, 103.939), (1, 1, 1), (2, 1, 0)),
    "torch": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), (0, 1, 2)),
}


def _dataset(classes=5, image_size=32, name="mine"):
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), "uint8")
    split = datasets.Arrays(images, np.arange(16) % classes)
    names = tuple(map(str, range(classes)))
    return datasets.Dataset(name, names, split, split, split, image_size)


def _start(name, dataset=None, **arguments):
    dataset = dataset or _dataset()
    return applications.start(
        f"keras.applications.{name}", dataset, weights=None, **arguments
    )


def _pixels(size=32):
    values = np.random.default_rng(1).uniform(0, 255, (2, size, size, 3))
    return values.astype("float32")


def _family(name):
    module = getattr(keras.applications, name).__module__.rpartition(".")[2]
    return getattr(keras.applications, module)


def _draw_statistics(model, seed=3):
    """Gives BatchNorm statistics that are not those of a fresh layer."""
    draw = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            layer.set_weights(
                [draw.uniform(0.5, 1.5, size).astype("float32") for _ in range(4)]
            )


@pytest.mark.parametrize("mode", _COLOURS)
def test_pixels_are_prepared_as_the_family_does(mode):
    module = _family(_NETWORKS[mode])
    scale, offset, order = applications._normalisation(
        getattr(keras.applications, _NETWORKS[mode])
    )
    mean, deviation, expected = _COLOURS[mode]
    assert tuple(order) == expected
    np.testing.assert_allclose(scale, 1 / np.array(deviation), rtol=1e-4)
    np.testing.assert_allclose(-offset / scale, mean, rtol=1e-4)
    theirs = module.preprocess_input(_pixels().copy())
    ours = keras.layers.Rescaling(scale.tolist(), offset.tolist())(_pixels())
    np.testing.assert_allclose(ours, theirs[..., order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "applied"),
    [("keras.applications.VGG16", True), ("keras.applications.keras", False)]
    + [("keras.applications.VGG16.keras", False), ("VGG16", False), (None, False)],
)
def test_files_are_told_from_names(text, applied):
    assert applications.is_application(text) is applied


def test_every_family_prepares_pixels_colour_by_colour():
    for name in applications.names():
        constructor = getattr(keras.applications, name)
        scale, offset, order = applications._normalisation(constructor)
        theirs = _family(name).preprocess_input(_pixels().copy())
        np.testing.assert_allclose(
            _pixels() * scale + offset, theirs[..., order], rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("name", [_NETWORKS["tf"], _NETWORKS["caffe"], "VGG16"])
def test_a_start_answers_as_the_network_behind_its_preprocess_input(name, monkeypatch):
    """The network that Keras makes and fills is at hand for comparison."""
    constructor = getattr(keras.applications, name)
    theirs = constructor(include_top=False, pooling="avg", weights=None)
    _draw_statistics(theirs)

    def filled(**arguments):
        model = constructor(**arguments)
        model.set_weights(theirs.get_weights())
        return model

    filled.__module__ = constructor.__module__
    monkeypatch.setattr(keras.applications, name, filled)
    model = _start(name)
    features = theirs(_family(name).preprocess_input(_pixels().copy()))
    logits = features @ model.get_layer("predictions").kernel
    np.testing.assert_allclose(
        model(_pixels()), keras.ops.softmax(logits), rtol=1e-3, atol=1e-5
    )


def test_a_new_head_is_told_of_and_has_the_classes(capsys):
    model = _start("MobileNetV2", _dataset(classes=7))
    assert model.output_shape == (None, 7)
    assert model.get_layer("predictions").activation is keras.activations.softmax
    assert not np.any(model.get_layer("predictions").bias)
    said = capsys.readouterr().out
    assert "keras.applications.MobileNetV2" in said
    assert "7 classes has random weights" in said


@pytest.mark.parametrize("dataset", ["imagenet2012", "imagenet2012:5.1.0"])
def test_imagenet_has_the_networks_own_head(dataset, capsys):
    model = _start("MobileNet", _dataset(classes=1000, name=dataset, image_size=None))
    assert model.input_shape == (None, 224, 224, 3)
    assert model.output_shape == (None, 1000)
    assert model.count_params() == 4_253_864  # Howard et al.: 4.2 million
    assert not capsys.readouterr().out
    name = "keras.applications.MobileNet"
    assert not applications.has_new_head(name, dataset)
    assert applications.has_new_head(name, "imagenette/160px-v2")
    assert not applications.has_new_head("net.keras", "cifar10")
    assert not applications.has_new_head(None, "cifar10")


@pytest.mark.parametrize(
    ("own", "asked", "size"), [(32, None, 32), (32, 64, 64), (None, None, 224)]
)
def test_the_size_of_images(own, asked, size):
    model = _start("MobileNetV2", _dataset(image_size=own), image_size=asked)
    assert model.input_shape == (None, size, size, 3)


def test_sizes_are_those_that_keras_takes(monkeypatch):
    class Found(Exception):
        pass

    def found(input_shape, default_size, **others):
        raise Found(default_size)

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", found)
    for name in applications.names():
        if name.startswith("MobileNetV3"):  # asks nobody: 224 is in its code
            continue
        with pytest.raises(Found) as size:
            getattr(keras.applications, name)(weights=None)
        own = applications.default_size(f"keras.applications.{name}")
        assert size.value.args == (own,), name


def test_impossible_starts():
    with pytest.raises(ValueError, match="needs one of .*VGG16.*Received: 'VGG17'"):
        _start("VGG17")
    with pytest.raises(ValueError, match="32 pixels.*`image_size`.*at least 75x75"):
        _start("InceptionV3")


def test_without_the_network_it_says_what_to_do(monkeypatch):
    def unreachable(name, origin, **others):
        raise Exception(f"URL fetch failure on {origin}/{name}: None -- no route")

    monkeypatch.setattr(file_utils, "get_file", unreachable)
    text = "keras.applications.MobileNetV2"
    with pytest.raises(OSError) as error:
        applications.start(text, _dataset())
    said = str(error.value)
    for part in (
        "no route",
        "mobilenet_v2_weights",
        "~/.keras/models",
        "start from a .keras",
    ):
        assert part in said
    assert said.endswith(f"Received: path={text!r}")


def test_faults_of_the_program_are_not_taken_for_those_of_the_network(monkeypatch):
    def broken(**arguments):
        raise TypeError("a fault")

    broken.__module__ = keras.applications.VGG16.__module__
    monkeypatch.setattr(keras.applications, "VGG16", broken)
    with pytest.raises(TypeError, match="a fault"):
        _start("VGG16")


@pytest.mark.parametrize("mode", _COLOURS)
def test_preprocessing_by_operations_stays_in_the_graph(mode, tmp_path):
    """Networks of users call `preprocess_input`: divisions, slices, stacks."""
    images = keras.Input((32, 32, 3))
    x = imagenet_utils.preprocess_input(images, mode=mode)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = keras.layers.Conv2D(16, 3, activation="relu", name="spatial")(x)
    x = keras.layers.Conv2D(16, 1, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(5, activation="softmax")(x)
    model = keras.Model(images, x)
    expected = model(_pixels())
    logits = prepare(model, Recipe(1, 1, 1.0))(_pixels())
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-5)
    for small in (
        keras_roots.decompose(model, error=1e-9, cost=None),
        keras_roots.rootify(model, root=1),
    ):
        np.testing.assert_allclose(small(_pixels()), expected, atol=1e-4)
    grouped = keras_roots.rootify(model, root=4)
    assert grouped.get_layer("spatial").groups == 4
    plan = keras_roots.plan_compression(model, _pixels(), 0.6, cost="macs")
    dense = keras_roots.profile(model).macs
    assert keras_roots.profile(plan.apply()).macs <= 0.6 * dense
    report = keras_roots.export_tflite(grouped, str(tmp_path / "grouped.tflite"))
    assert report.relative_difference < 1e-4
