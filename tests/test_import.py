"""Importing the package: light, and without TensorFlow where another backend runs."""

import importlib.metadata
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_roots

# As where it is not installed; Keras takes a None in sys.modules for the real thing.
BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "ai_edge_litert"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def test_without_tensorflow(run_python, tmp_path):
    """On JAX, from weights that TensorFlow saved, and with the same results."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    model = keras_roots.RootConvNet(root=4, input_shape=(8, 8, 3))
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.05, weight.shape))
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "expected.npy", keras.ops.convert_to_numpy(model(images)))
    model.save_weights(tmp_path / "tensorflow.weights.h5")
    run_python(
        BLOCK
        + """
import numpy as np, keras, keras_roots
assert keras.backend.backend() == "jax"
model = keras_roots.RootConvNet(
    root=4, input_shape=(8, 8, 3), weights="tensorflow.weights.h5")
assert model.get_layer("conv2").groups == 4
found = np.asarray(model(np.load("images.npy")))
expected = np.load("expected.npy")
assert np.ptp(expected) > 0.01
np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
assert keras_roots.profile(keras_roots.RootNiN(root=8)).macs == 103_343_498
assert keras_roots.models.convnet.decode_predictions(found)[0][0][1]
assert "tensorflow" not in sys.modules
""",
        KERAS_BACKEND="jax",
    )


# TensorFlow has no CPU kernels for channels first; JAX has.
@pytest.mark.slow
def test_channels_first_computes_the_same(run_python):
    run_python(
        BLOCK
        + """
import numpy as np, keras, keras_roots
from keras_roots.layers import LocalResponseNormalization
from keras_roots.models import googlenet
googlenet.MODULES = {name: googlenet.MODULES[name] for name in ("inception_5a",)}
rng = np.random.default_rng(0)
for name, side, arguments in (
    ("root_convnet", 8, {"root": 4}),
    ("root_googlenet", 32, {"root": 2, "classes": 10}),
):
    images = rng.uniform(0, 255, (1, side, side, 3)).astype("float32")
    keras.config.set_image_data_format("channels_last")
    last = keras_roots.create_model(name, input_shape=(side, side, 3), **arguments)
    for weight in last.weights:
        if weight.path.endswith("kernel"):
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, fan_in ** -0.5, weight.shape))
    expected = last.predict_on_batch(images)
    keras.config.set_image_data_format("channels_first")
    first = keras_roots.create_model(name, input_shape=(3, side, side), **arguments)
    first.set_weights(last.get_weights())
    found = first.predict_on_batch(images.transpose(0, 3, 1, 2))
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
for region in ("across_channels", "within_channel"):
    x = rng.normal(0, 100, (2, 5, 6, 7)).astype("float32")
    keras.config.set_image_data_format("channels_last")
    expected = np.asarray(LocalResponseNormalization(3, 0.1, region)(x))
    keras.config.set_image_data_format("channels_first")
    found = LocalResponseNormalization(3, 0.1, region)(x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(
        np.transpose(found, (0, 2, 3, 1)), expected, rtol=1e-4, atol=1e-5)
""",
        KERAS_BACKEND="jax",
    )


def test_import_is_light(run_python):
    loaded = run_python(
        """
import sys, keras
before = set(sys.modules)
import keras_roots
new = set(sys.modules) - before
print(*sorted({name.partition(".")[0] for name in new} - sys.stdlib_module_names))
print(*sorted({".".join(name.split(".")[:2]) for name in new if "roots." in name}))
""",
        KERAS_BACKEND="jax",
    )
    others, ours = loaded.splitlines()
    assert others.split() == ["keras_roots"]
    packages = "graph layers models regularizers terminal utils".split()
    assert ours.split() == [f"keras_roots.{name}" for name in packages]


def test_the_twin_without_tf_keras(run_python):
    """It is imported with everything else, and asks for tf_keras when it is used."""
    run_python(
        BLOCK.replace(
            '("tensorflow", "ai_edge_litert")',
            '("tf_keras", "tensorflow_model_optimization")',
        )
        + """
import keras_roots
try:
    keras_roots.to_tf_keras(keras_roots.RootConvNet(input_shape=(8, 8, 3)))
except ImportError as error:
    assert "pip install 'keras_roots[optimize]'" in str(error)
else:
    raise AssertionError("tf_keras was imported")
"""
    )


def test_commands_are_imported_without_what_is_optional(run_python):
    optional = (
        *("tensorflow", "ai_edge_litert", "tf_keras", "tensorflow_datasets"),
        *("tensorflow_model_optimization", "tensorboard", "sklearn", "PIL"),
        *("matplotlib", "onnxruntime", "openvino", "onnx", "tf2onnx"),
    )
    found = run_python(
        BLOCK.replace('("tensorflow", "ai_edge_litert")', repr(optional))
        + """
import importlib, pkgutil
from keras_roots.training import commands
for module in pkgutil.iter_modules(commands.__path__, commands.__name__ + "."):
    importlib.import_module(module.name)
    print(module.name)
""",
        KERAS_BACKEND="jax",
    )
    assert "keras_roots.training.commands.train" in found.split()


def test_every_name_is_there():
    for name in keras_roots.__all__:
        assert getattr(keras_roots, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'RootVGG'"):
        keras_roots.RootVGG  # noqa: B018


def test_only_public_names_are_listed():
    assert dir(keras_roots) == sorted(keras_roots.__all__)
    assert len(set(keras_roots.__all__)) == len(keras_roots.__all__)
    assert not [name for name in dir(keras_roots) if name.startswith("_")]
    assert "importlib" not in dir(keras_roots)
    assert keras_roots.__version__ == importlib.metadata.version("keras_roots")
    assert Path(keras_roots.__file__).with_name("py.typed").exists()
