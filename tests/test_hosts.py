"""Global settings of Keras on the host: the numbers are those of float32."""

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.export import LiteRTModel
from keras_roots.training import data
from keras_roots.utils import load_model, load_saved_model

POLICIES = ("float16", "mixed_float16", "mixed_bfloat16")
# Largest difference of an output, all of which are parts of one.
ROUNDING = {"float16": 2e-3, "mixed_float16": 2e-3, "mixed_bfloat16": 2e-2}


@pytest.fixture(scope="module")
def images():
    return data.sample_images("cifar10-sample", 16, split="test")


@pytest.fixture(scope="module")
def expected(images):
    """What the functions make of a trained network in float32."""
    return _results(_network(), images)


def _network():
    return keras_roots.RootConvNet(weights="cifar10")


def _results(model, images):
    def outputs(model):
        return np.asarray(model.predict_on_batch(images), "float32")

    plan = keras_roots.plan_decomposition(model, budget=0.6)
    return {
        "macs": keras_roots.profile(model).macs,
        "ranks": [(layer.name, layer.rank) for layer in plan.layers],
        "model": outputs(model),
        "decompose": outputs(plan.apply()),
        "rootify": outputs(keras_roots.rootify(model, root=4)),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_of_the_host_changes_no_numbers(policy, images, expected, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = _network()
    assert model.get_layer("conv2").compute_dtype in policy
    found = _results(model, images)
    for name in ("macs", "ranks"):
        assert found[name] == expected[name]
    for name in ("model", "decompose", "rootify"):
        assert np.ptp(expected[name], axis=0).max() > 0.5
        np.testing.assert_allclose(
            found[name], expected[name], atol=ROUNDING[policy], err_msg=name
        )
    path = str(tmp_path / "net.tflite")
    keras_roots.export_tflite(model, path)
    written = LiteRTModel(path).predict(images)[0]
    np.testing.assert_allclose(written, expected["model"], atol=ROUNDING["float16"])
    keras_roots.export_saved_model(model, str(tmp_path / "net"))
    loaded = load_saved_model(tmp_path / "net")
    serve = loaded.signatures["serving_default"]
    (name,) = serve.structured_input_signature[1]
    (output,) = serve(**{name: images}).values()
    np.testing.assert_allclose(output, expected["model"], atol=ROUNDING["float16"])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_of_the_host_changes_no_file(policy, images, expected, tmp_path):
    """Layers keep the policies that they were saved with."""
    _network().save(tmp_path / "net.keras")
    keras.config.set_dtype_policy(policy)
    loaded = load_model(tmp_path / "net.keras")
    for name, value in _results(loaded, images).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
