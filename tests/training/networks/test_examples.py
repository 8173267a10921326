import importlib.util
import types

import numpy as np
import pytest

from keras_roots.training.networks import examples

OWN = [name for name in examples.EXAMPLES if not name.startswith("mtcnn")]


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


def test_mtcnn_takes_weights_from_its_package(tmp_path, monkeypatch):
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "factory.py").write_text(FACTORY)
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 3, 3, 2)), rng.normal(size=2)
    weights = np.array({"pnet": [kernel, bias]}, dtype=object)
    np.save(tmp_path / "data" / "mtcnn_weights.npy", weights)
    spec = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    own = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: spec if name == "mtcnn" else own(name)
    )
    network = examples.create("examples.mtcnn_pnet", 5)
    pixels = rng.uniform(0, 255, (1, 5, 5, 3))
    scaled = (pixels - 127.5) / 128
    expected = np.einsum("hwc,hwcf->f", scaled[0, 1:4, 2:5], kernel) + bias
    found = np.asarray(network(pixels.astype("float32")))[0, 1, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_mtcnn_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps mtcnn"):
        examples.create("examples.mtcnn_onet")
