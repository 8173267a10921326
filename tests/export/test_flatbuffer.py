"""What TensorFlow's converter makes of networks, and what it refuses or crashes on."""

import keras
import pytest
from keras import layers

from keras_roots.export.agreement import ExportError
from keras_roots.export.litert import export_tflite
from keras_roots.export.saved_model import export_saved_model


def _recurrent(layer, **kwargs):
    """A reader of text in images: columns of features in turn, probabilities each."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.Reshape((8, 32))(layers.Permute((2, 1, 3))(x))
    x = layers.Bidirectional(layer(4, return_sequences=True, **kwargs))(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x), name="reader")


RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)


@pytest.mark.parametrize("layer", RECURRENT)
@pytest.mark.parametrize("export", [export_tflite, export_saved_model])
def test_recurrent_networks(export, layer, images, tmp_path):
    # Dropout has the state of a seed, which is no weight.
    model = _recurrent(layer, dropout=0.5, recurrent_dropout=0.1)
    report = export(model, tmp_path / "net", check_data=images() / 255)
    assert report.relative_difference < 1e-4


def test_a_converter_that_crashes_is_an_error(images, occupied):
    with pytest.raises(
        ExportError, match=r"crashes \(signal 11\) on the model 'reader'.*unroll=True"
    ):
        export_tflite(_recurrent(layers.GRU), occupied, "int8", images() / 255)


def test_unrolled_networks_in_int8(images, tmp_path):
    model = _recurrent(layers.GRU, unroll=True)
    report = export_tflite(model, tmp_path / "net", "int8", images() / 255)
    assert report.relative_error < 0.01


def test_what_litert_has_no_operation_for_is_an_error(occupied):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.ops.erfinv(inputs / 9.0))
    with pytest.raises(ExportError, match="converter refuses the model"):
        export_tflite(model, occupied)
