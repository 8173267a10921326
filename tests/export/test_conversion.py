import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.export import conversion
from keras_roots.export.runner import LiteRTModel
from keras_roots.export.saved_model import write_saved_model
from keras_roots.utils import Worker

SAMPLES = np.random.default_rng(0).normal(size=(5, 6, 4)).astype("float32")
OPTIONS = {"io": "float", "batch_size": 2}


def _saved(folder, unroll, batch_size=2):
    model = keras.Sequential(
        [keras.Input((6, 4)), layers.SimpleRNN(3, unroll=unroll), layers.Dense(2)]
    )
    write_saved_model(model, str(folder), "native", batch_size)
    return model


@pytest.mark.parametrize("unroll", [False, True])
def test_loops_are_seen(unroll, tmp_path):
    _saved(tmp_path, unroll)
    assert conversion.has_loops(str(tmp_path)) is not unroll


def test_whole_batches_are_fed():
    batches = list(conversion._batches({"a": SAMPLES, "b": SAMPLES[:, 0]}, 2))
    fed = np.concatenate([batch["a"] for batch in batches])
    np.testing.assert_array_equal(fed, SAMPLES[[0, 1, 2, 3, 4, 0]])
    assert [batch["b"].shape for batch in batches] == [(2, 4)] * 3


def test_a_process_of_its_own_writes_the_same_file(tmp_path):
    model = _saved(tmp_path / "saved", unroll=True)
    samples, output = str(tmp_path / "samples.npz"), str(tmp_path / "net")
    np.savez(samples, images=SAMPLES)
    arguments = {"folder": str(tmp_path / "saved"), "quantize": "int8", **OPTIONS}
    with Worker(
        conversion.__file__, output=output, samples=samples, **arguments
    ) as worker:
        assert worker.ready is None
    (found,) = LiteRTModel(output).predict(SAMPLES)
    here = conversion.convert(samples={"images": SAMPLES}, **arguments)
    np.testing.assert_array_equal(found, LiteRTModel(here).predict(SAMPLES)[0])
    assert np.abs(found - np.asarray(model(SAMPLES))).max() < 0.1


def test_what_the_converter_refuses_is_an_answer(tmp_path):
    (tmp_path / "saved").mkdir()
    refusal, commands = conversion.start(
        str(tmp_path / "saved"), str(tmp_path / "net"), None, quantize=None, **OPTIONS
    )
    assert "SavedModel file does not exist" in refusal
    assert commands == {}


def test_users_are_not_warned_of_an_interpreter_of_tensorflow(tmp_path):
    _saved(tmp_path, unroll=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        content = conversion.convert(
            str(tmp_path), samples={"images": SAMPLES}, quantize="int8", **OPTIONS
        )
    assert LiteRTModel(content).input_shapes
