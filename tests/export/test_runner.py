import sys

import keras
import numpy as np
import pytest

from keras_roots.export import flatbuffer
from keras_roots.export.runner import LiteRTModel


def test_any_number_of_images_runs_in_batches(network, images, exported):
    model = network()
    want = np.asarray(model(images(10)))
    path, _ = exported(None)
    in_fours = flatbuffer.convert(model, batch_size=4)
    for file, batch_size in ((path, 1), (in_fours, 4)):
        loaded = LiteRTModel(file, threads=2)
        assert (loaded.batch_size, loaded.image_shape) == (batch_size, (8, 8, 3))
        (found,) = loaded.predict(images(10))
        np.testing.assert_allclose(found, want, atol=1e-5)


def test_what_the_file_leaves_open_is_chosen_at_loading(network, images):
    model = network()
    content = flatbuffer.convert(model, batch_size=None)
    loaded = LiteRTModel(content, batch_size=3)
    assert loaded.batch_size == 3
    (found,) = loaded.predict(images(4))
    np.testing.assert_allclose(found, np.asarray(model(images(4))), atol=1e-5)
    with pytest.raises(ValueError, match="fixed shape.*image_shape"):
        LiteRTModel(content, image_shape=(9, 9, 3))


def test_operations_are_told_by_where_they_run(exported):
    path, report = exported(None)
    loaded = LiteRTModel(path)
    assert loaded.undelegated() == {}
    assert loaded.operations() == loaded.float_operations() == report.operations
    slow = LiteRTModel(path, delegate=False)
    assert slow.undelegated() == slow.operations() == report.operations


def test_operations_may_be_unknown(exported, monkeypatch):
    loaded = LiteRTModel(exported(None)[0])
    monkeypatch.delattr(type(loaded._interpreter), "_get_ops_details")
    assert loaded.operations() is None
    assert loaded.undelegated() is None
    assert loaded.float_operations() is None


def test_images_of_another_shape_are_refused(exported):
    loaded = LiteRTModel(exported(None)[0])
    with pytest.raises(ValueError, match=r"shape \(n, 8, 8, 3\).*\(2, 9, 8, 3\)"):
        loaded.predict(np.zeros((2, 9, 8, 3)))


def _two_inputs():
    shapes = {"zone": (3,), "age": (2,)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    outputs = keras.layers.Dense(2)(inputs["zone"]) + inputs["age"]
    return keras.Model(list(inputs.values()), outputs)


def test_several_inputs_go_by_name():
    model = _two_inputs()
    loaded = LiteRTModel(flatbuffer.convert(model, batch_size=2))
    assert loaded.input_shapes == {"zone": (3,), "age": (2,)}
    rng = np.random.default_rng(0)
    given = {
        name: rng.normal(size=(5, *shape)).astype("float32")
        for name, shape in loaded.input_shapes.items()
    }
    (found,) = loaded.predict(given)
    expected = np.asarray(model([given["zone"], given["age"]]))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for wrong, text in (
        (given["zone"], "dictionary of arrays by name.*ndarray"),
        ({"zone": given["zone"]}, "must have the names"),
        (
            given | {"age": given["zone"]},
            r"'age'\]` must be of shape \(n, 2\)",
        ),
        (given | {"age": given["age"][:3]}, "as many for every input"),
    ):
        with pytest.raises(ValueError, match=text):
            loaded.predict(wrong)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.tflite"):
        LiteRTModel(tmp_path / "missing.tflite")
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"no network, and longer than a flatbuffer's header")
    with pytest.raises(ValueError, match="`file` must be a LiteRT file.*broken.tflite"):
        LiteRTModel(path)


def test_a_missing_runtime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_roots\[litert\]'"):
        LiteRTModel(b"")
