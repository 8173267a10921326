"""Wrappers around layers of a twin."""

import numpy as np
import pytest

from keras_roots.tf_keras_twin import require_tfmot
from keras_roots.tf_keras_twin.conversion import to_tf_keras
from keras_roots.tf_keras_twin.optimization import clusterable, prunable, strip
from keras_roots.tf_keras_twin.quantization import quantizable

SHAPE = (6, 6, 3)


@pytest.fixture
def named_weights():
    """The function of that name, imported beside Keras 3."""
    require_tfmot()
    from keras_roots.tf_keras_twin.wrappers import named_weights

    return named_weights


def test_checkpoints(network, images, tmp_path):
    """Weights and ranges, and a twin from its configuration."""
    import tf_keras

    data = images(SHAPE, 4)
    twin = quantizable(network, data)
    expected = np.asarray(twin(data, training=False))
    twin.save_weights(tmp_path / "twin.weights.h5")
    others = [
        quantizable(network, data + 1),
        tf_keras.models.model_from_json(twin.to_json()),
    ]
    for other in others:
        assert not np.allclose(other(data, training=False), expected, atol=1e-3)
        other.load_weights(tmp_path / "twin.weights.h5")
        np.testing.assert_array_equal(other(data, training=False), expected)


@pytest.mark.parametrize(
    "wrap",
    [lambda m, _: prunable(m, 0.5, 1), lambda m, _: clusterable(m, 4), quantizable],
)
def test_weights_are_named_as_those_of_the_model(wrap, network, images, named_weights):
    found = dict(named_weights(wrap(network, images(SHAPE, 4))))
    for layer in network.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        assert [weight.shape for weight in found[layer.name]] == shapes


def test_weights_of_quantized_layers_are_those_before_rounding(
    network, images, named_weights
):
    twin = quantizable(network, images(SHAPE, 4))
    twin(images(SHAPE), training=False)
    found = dict(named_weights(twin))
    for name in ("conv", "head"):
        expected = network.get_layer(name).get_weights()
        for ours, theirs in zip(found[name], expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_frozen_layers_do_not_train(network, images):
    network.get_layer("head").trainable = False
    twin = quantizable(network, images(SHAPE, 4))
    assert not twin.get_layer("quant_head").trainable_weights
    assert len(twin.get_layer("quant_conv").trainable_weights) == 2


def test_models_without_wrappers_are_left_as_they_are(network, images):
    twin = to_tf_keras(network)
    assert strip(twin) is twin
    aware = quantizable(network, images(SHAPE, 4))
    assert strip(aware) is aware
