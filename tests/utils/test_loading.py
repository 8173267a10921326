"""Loading Keras files."""

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.utils.loading import load_model


def test_a_network_comes_back_uncompiled(tmp_path):
    inputs = keras.Input((6, 6, 4))
    outputs = keras_roots.layers.GroupedConv2D(4, 3, groups=2)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    model.save(tmp_path / "net.keras")
    loaded = load_model(tmp_path / "net.keras")
    assert not loaded.compiled
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "text"),
    [("none", "an existing"), ("bad", "a whole"), (".", "an existing")],
)
def test_anything_else_is_refused(name, text, tmp_path):
    (tmp_path / "bad.keras").write_text("no model")
    path = tmp_path / (name if name == "." else f"{name}.keras")
    with pytest.raises(ValueError, match=f"^--from must be {text} .keras file. Rec"):
        load_model(path, "--from")
