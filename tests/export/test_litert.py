import os
import re
import sys

import helpers
import keras
import numpy as np
import pytest
from keras import layers

from keras_roots import graph
from keras_roots.export import litert
from keras_roots.export.agreement import ExportError
from keras_roots.export.litert import export_tflite
from keras_roots.export.rewrites import REWRITES, Rewrite
from keras_roots.export.runner import LiteRTModel
from keras_roots.export.saved_model import export_saved_model

# Largest relative difference to expect of each quantisation.
PRECISION = {None: 1e-5, "float16": 5e-3, "dynamic": 0.05, "int8": 0.08}


@pytest.mark.parametrize("quantize", PRECISION)
def test_the_file_computes_what_the_model_does(quantize, network, images, exported):
    path, report = exported(quantize)
    want = np.asarray(network()(images(9)))
    (found,) = LiteRTModel(path).predict(images(9))
    assert np.abs(found - want).max() <= PRECISION[quantize] * np.ptp(want)
    assert report.difference == pytest.approx(np.abs(found - want).max(), abs=1e-6)
    assert report.relative_difference == pytest.approx(
        report.difference / np.ptp(want), rel=1e-3
    )
    assert report.images == 9
    assert report.file_size == os.path.getsize(path)
    assert report.top1_agreement == (found.argmax(-1) == want.argmax(-1)).mean()
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("quantize", PRECISION)
def test_groups_are_one_operation_and_batchnorm_is_none(quantize, exported):
    _, report = exported(quantize)
    assert report.operations["CONV_2D"] == 3
    # The normalisation of the pixels; nothing is left of BatchNorm.
    assert (report.operations["MUL"], report.operations["ADD"]) == (1, 1)
    assert "CONV_2D" not in report.undelegated
    if quantize is None:
        assert report.undelegated == {}
    if quantize == "int8":
        assert report.float_operations == {}


def test_stock_groups_become_one_operation_too(images, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(16, 3),
            layers.Conv2D(16, 3, groups=4),
            layers.Flatten(),
        ]
    )
    assert export_tflite(model, tmp_path / "net").operations["CONV_2D"] == 2


def test_smaller_types_make_smaller_files(exported):
    sizes = [exported(quantize)[1].file_size for quantize in (None, "float16", "int8")]
    assert sizes == sorted(sizes, reverse=True)


def test_a_host_without_the_native_operation_exports_it(run_python):
    printed = run_python(
        """
import keras, keras_roots
model = keras.Sequential([
    keras.Input((8, 8, 8)),
    keras_roots.layers.GroupedConv2D(8, 3, groups=2),
    keras.layers.Flatten(),
])
report = keras_roots.export_tflite(model, "net.tflite")
print("operations:", report.operations, report.undelegated)
""",
        TF_ENABLE_ONEDNN_OPTS="0",
    )
    assert "operations: {'CONV_2D': 1, 'RESHAPE': 1} {}" in printed


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_an_int8_file_can_take_and_give_integers(io, network, images, tmp_path):
    model, path = network(), tmp_path / "net"
    report = export_tflite(model, path, "int8", images(), io=io)
    assert LiteRTModel(path).dtype == np.dtype(io)
    assert report.io == io
    assert report.relative_difference < PRECISION["int8"]


def test_the_batch_is_an_option(network, images, tmp_path):
    path = tmp_path / "net"
    report = export_tflite(network(), path, "int8", images(10), batch_size=4)
    assert LiteRTModel(path).batch_size == 4
    assert report.images == 10


def test_reduced_precision_is_exported_as_float32(network, images, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = network()
    report = export_tflite(model, tmp_path / "net", check_data=images())
    assert report.relative_difference < 1e-5
    assert report.operations["CONV_2D"] == 3
    assert {layer.dtype_policy.name for layer in model.layers} == {"mixed_bfloat16"}


def test_several_outputs_keep_their_order(network, images, tmp_path):
    model = network()
    mixed = model.get_layer("mix").output
    model = keras.Model(
        model.inputs[0], [model.outputs[0], mixed, model.outputs[0][:, :2]]
    )
    report = export_tflite(model, tmp_path / "net", check_data=images(4))
    found = LiteRTModel(tmp_path / "net").predict(images(4))
    for ours, theirs in zip(found, model(images(4)), strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-4)
    assert report.relative_difference < 1e-4


def _branches(names=("photo", "age", "place"), form=list):
    """A network of three inputs, one of integers, with nested outputs."""
    photo = keras.Input((8, 8, 3), name=names[0])
    age = keras.Input((4,), name=names[1])
    place = keras.Input((2,), name=names[2], dtype="int32")
    maps = layers.Conv2D(4, 3, name="maps")(photo)
    features = layers.GlobalAveragePooling2D()(maps)
    features += layers.Dense(4, name="ages")(age)
    features += layers.Flatten()(layers.Embedding(5, 2, name="places")(place))
    inputs = [photo, age, place]
    if form is dict:
        inputs = dict(zip(names, inputs, strict=True))
    outputs = {"a": features, "pyramid": [maps, layers.MaxPooling2D(2)(maps)]}
    return helpers.assign_random(keras.Model(inputs, outputs, name="branches"))


def _samples(count=12):
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(count, 8, 8, 3)).astype("float32"),
        rng.normal(size=(count, 4)).astype("float32"),
        rng.integers(0, 5, (count, 2)).astype("int32"),
    )


@pytest.mark.parametrize("form", [list, dict])
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_inputs_and_outputs_of_any_structure(quantize, form, tmp_path):
    # Neither their order nor that of their names is that of the file's inputs.
    names, samples = ("photo", "zone", "age"), _samples()
    model = _branches(names, form)
    given = dict(zip(names, samples, strict=True))
    report = export_tflite(
        model,
        tmp_path / "net",
        quantize,
        given if form is dict else samples,
        check_data=[(given if form is dict else samples, None)],
        batch_size=5,
    )
    assert report.images == 12
    loaded = LiteRTModel(tmp_path / "net")
    assert loaded.input_shapes == {"photo": (8, 8, 3), "zone": (4,), "age": (2,)}
    outputs = model(given if form is dict else list(samples), training=False)
    expected = [outputs["a"], *outputs["pyramid"]]
    for ours, theirs in zip(loaded.predict(given), expected, strict=True):
        theirs = np.asarray(theirs)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < PRECISION[quantize] * np.ptp(theirs)


def test_random_numbers_are_made_for_every_input(tmp_path):
    assert export_tflite(_branches(), tmp_path / "net").images == 16


def test_samples_of_another_number_of_inputs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="`calibration_data` must be a tuple"):
        export_tflite(_branches(), tmp_path / "net", "int8", _samples()[:2])


def test_packing_is_reported_and_changes_nothing(network, images, tmp_path):
    rows = [
        ("int8", 1, [helpers.square_convolution(3, 8, 32, 32, groups)], ms)
        for groups, ms in ((8, 2.0), (2, 1.0))
    ]
    table = helpers.write_times(tmp_path / "ms.csv", rows)
    arguments = dict(quantize="int8", calibration_data=images())
    plain = export_tflite(network(groups=8), tmp_path / "plain", **arguments)
    packed = export_tflite(
        network(groups=8),
        tmp_path / "packed",
        optimize="pack_groups",
        latency_table=table,
        **arguments,
    )
    assert plain.changes == {}
    assert packed.changes == {"pack_groups": {"grouped": "8 -> 2 groups"}}
    assert packed.difference == plain.difference
    assert packed.file_size > plain.file_size
    assert "grouped: 8 -> 2 groups" in str(packed)


def test_the_report_prints_as_a_table(exported):
    text = str(exported("int8")[1])
    for part in ("int8, float input", "9 images", "top-1 agreement", "3 CONV_2D"):
        assert part in text
    assert "not on the CPU delegate" in text and "not quantised" in text


# Bad input leaves nothing behind.


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"quantize": "int4"}, "`quantize` must be one of.*'int4'"),
        ({"quantize": "int8"}, "`calibration_data` must be given"),
        ({"io": "int8"}, "`io` must be 'float', or with quantize='int8'"),
        ({"io": "bool", "quantize": "int8"}, "`io`"),
        ({"batch_size": 0}, "`batch_size` must be an integer, 1 or more.*0"),
        ({"batch_size": 1.5}, "`batch_size`"),
        ({"min_agreement": 2}, "`min_agreement` must be a number from 0 to 1.*2"),
        ({"calibration_data": np.zeros((4, 4, 4, 3))}, "`calibration_data`.*shape"),
        ({"check_data": np.full((4, 8, 8, 3), np.nan)}, "`check_data`.*NaN"),
        ({"optimize": "latency", "latency_table": __file__}, "table of measured"),
        ({"optimize": "pack"}, "`optimize` must be None.*'pack'"),
        ({"target": "sse"}, "`target` must be one of.*'sse'"),
        ({"target": 3}, "`target` must be one of.*3"),
        ({"optimize": True}, "`optimize` must be None.*True"),
        ({"optimize": 3}, "`optimize` must be None.*3"),
        ({"optimize": ["latency", 3]}, "`optimize` must be None.*3"),
        ({"quantize": 3}, "`quantize` must be one of.*3"),
        ({"quantize": ["int8"]}, "`quantize` must be one of"),
        ({"io": 3}, "`io` must be 'float'"),
        ({"max_error": "none"}, "`max_error` must be a finite number, 0 or more"),
        ({"max_error": -1}, "`max_error`"),
        ({"latency_table": 3}, "`latency_table` must be a path or None.*3"),
        ({"calibration_data": 3}, "`calibration_data` must be.*int"),
        ({"calibration_data": "photos"}, "`calibration_data` must be.*str"),
        ({"calibration_data": {"x": 1}}, "`calibration_data` must be.*dictionary"),
        ({"calibration_data": [None]}, "`calibration_data` must be"),
        ({"check_data": 3}, "`check_data` must be"),
        ({"path": 3}, "`path` must be a path. Received: path=3"),
        ({"path": None}, "`path` must be a path. Received: path=None"),
    ],
)
def test_impossible_arguments_write_nothing(arguments, text, network, tmp_path):
    if "calibration_data" in arguments:
        arguments = {"quantize": "int8", **arguments}
    with pytest.raises(ValueError, match=text):
        export_tflite(network(), **{"path": tmp_path / "net", **arguments})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("quantize", [None, "float16"])
def test_a_file_that_computes_something_else_is_an_error(
    quantize, network, images, occupied, monkeypatch
):
    convert = litert.convert

    def sabotaged(model, **kwargs):
        model = keras.models.clone_model(model)
        return convert(model, **kwargs)

    monkeypatch.setattr(litert, "convert", sabotaged)
    with pytest.raises(ExportError, match="differs from the model"):
        export_tflite(network(), occupied, quantize, check_data=images())


def test_float16_that_overflows_is_an_error(network, images, occupied):
    model = network(activation="linear")
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel * 1e6, bias])  # at most 65504 fits
    with pytest.raises(ExportError, match="differs from the model"):
        export_tflite(model, occupied, "float16", check_data=images())


def _scaled(model, factor):
    kernel, bias = model.get_layer("scores").get_weights()
    model.get_layer("scores").set_weights([kernel * factor, bias])
    return model


def test_a_model_that_gives_nan_is_an_error(network, images, occupied):
    with pytest.raises(ExportError, match="The model gives NaN or infinite"):
        export_tflite(_scaled(network(), np.nan), occupied, check_data=images())


@pytest.mark.parametrize(
    ("factor", "quantize", "text"),
    [
        (0.0, None, "The model gives the same output for all 24"),
        (1e-4, "int8", "The exported network gives the same output for all 24"),
    ],
)
def test_what_an_untrained_model_lacks_is_a_warning(
    factor, quantize, text, network, images, tmp_path
):
    with pytest.warns(UserWarning, match=text):
        export_tflite(_scaled(network(), factor), tmp_path / "net", quantize, images())
    assert os.listdir(tmp_path) == ["net"]


def _lost_in_int8():
    """A network with a filter that is far wider than the others, which alone count."""
    inputs = keras.Input((8, 8, 3))
    scores = layers.Conv2D(4, 1, name="scores")(inputs)
    scores = layers.GlobalAveragePooling2D()(scores)
    model = keras.Model(inputs, scores[:, 1:])
    kernel, bias = model.get_layer("scores").get_weights()
    kernel[..., 0] = 1e5
    model.get_layer("scores").set_weights([kernel, bias])
    return model


def test_int8_that_loses_the_answer_is_an_error(images, occupied):
    for limits in ({}, {"max_error": 2, "tolerance": 2, "min_agreement": 0}):
        with pytest.raises(ExportError, match="the same output 0 for all 24 images"):
            export_tflite(_lost_in_int8(), occupied, "int8", images(), **limits)


def test_a_file_that_litert_cannot_run_is_an_error(network, occupied, monkeypatch):
    monkeypatch.setattr(litert, "convert", lambda *_, **__: b"no flatbuffer" * 9)
    with pytest.raises(ExportError, match="LiteRT cannot run the file.*'network'"):
        export_tflite(network(), occupied)


def test_the_caller_may_allow_more(network, images, tmp_path, monkeypatch):
    predict = LiteRTModel.predict
    monkeypatch.setattr(
        LiteRTModel, "predict", lambda *args: [-0.2 * predict(*args)[0]]
    )
    path = tmp_path / "net"
    with pytest.raises(ExportError, match="relative squared error of 1.4.*max_error"):
        export_tflite(network(), path, "int8", images())
    report = export_tflite(network(), path, "int8", images(), max_error=2)
    assert report.relative_error == pytest.approx(1.2**2, rel=0.05)
    assert f"{report.relative_error:.2g}" in str(report)


@pytest.mark.parametrize("quantize", PRECISION)
def test_a_rewrite_that_is_not_exact_is_an_error(
    quantize, network, images, occupied, monkeypatch
):
    def wrong(model, *_):
        return _scaled(graph.rewrite(model, lambda layer: None), 0.9), {"scores": "x"}

    monkeypatch.setitem(REWRITES, "widen_stem", Rewrite(wrong))
    monkeypatch.setattr(litert, "convert", lambda *_, **__: pytest.fail("converted"))
    with pytest.raises(ExportError, match="widen_stem changed them by 0.*leave that"):
        export_tflite(network(), occupied, quantize, images(), optimize="widen_stem")


def test_too_little_agreement_is_an_error(network, images, occupied, monkeypatch):
    predict = LiteRTModel.predict
    monkeypatch.setattr(
        LiteRTModel, "predict", lambda *args: [predict(*args)[0][:, ::-1]]
    )
    with pytest.raises(ExportError, match="`min_agreement` asks for 90.0%"):
        export_tflite(network(), occupied, "dynamic", images(), min_agreement=0.9)


@pytest.mark.parametrize("quantize", PRECISION)
def test_a_tolerance_that_the_message_names_lets_a_file_pass(
    quantize, network, images, tmp_path, monkeypatch
):
    predict = LiteRTModel.predict
    monkeypatch.setattr(LiteRTModel, "predict", lambda *args: [-predict(*args)[0]])
    how = {"quantize": quantize, "calibration_data": images()}
    with pytest.raises(ExportError, match="tolerance=") as caught:
        export_tflite(network(), tmp_path / "net", **how)
    assert os.listdir(tmp_path) == []
    tolerance = float(re.search(r"tolerance=([0-9.]+)", str(caught.value))[1])
    report = export_tflite(network(), tmp_path / "net", **how, tolerance=tolerance)
    want = np.asarray(network()(images()))
    off = 2 * np.abs(want).max() / np.ptp(want)
    assert report.relative_difference == pytest.approx(off, rel=0.1)
    with pytest.raises(ExportError, match="allowed by `tolerance`"):
        export_tflite(network(), tmp_path / "less", **how, tolerance=off / 2)


def _constant(class_, classes=4):
    """A network that names one class for all images, as untrained ones do."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes),
            layers.Softmax(),
        ]
    )
    bias = np.zeros(classes, "float32")
    bias[class_] = 100
    model.layers[1].set_weights([np.zeros((3, classes)), bias])
    return model


@pytest.mark.parametrize("quantize", PRECISION)
def test_a_model_of_constant_outputs_is_exported_with_a_warning(
    quantize, images, tmp_path, monkeypatch
):
    with pytest.warns(UserWarning, match="the same output.*is the model trained"):
        export_tflite(_constant(1), tmp_path / "net", quantize, images())
    # In int8, another class is not the file's fault; in float32 it is.
    predict = LiteRTModel.predict
    monkeypatch.setattr(
        LiteRTModel, "predict", lambda *args: [predict(*args)[0][:, ::-1]]
    )
    if quantize in ("dynamic", "int8"):
        with pytest.warns(UserWarning, match="the same output.*is the model trained"):
            export_tflite(_constant(1), tmp_path / "net", quantize, images())
    else:
        with pytest.raises(ExportError, match="is allowed by default"):
            export_tflite(_constant(1), tmp_path / "net", quantize, images())


def _with_mean():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.ops.mean(inputs))


@pytest.mark.parametrize("export", [export_tflite, export_saved_model])
@pytest.mark.parametrize(
    "model",
    [
        helpers.Subclassed(),
        keras.Sequential([layers.Conv2D(2, 3)]),
        keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 3)]),
        keras.Sequential([keras.Input(batch_shape=(4, 8, 8, 3)), layers.Conv2D(2, 3)]),
        _with_mean(),
        None,
        3,
        layers.Conv2D(2, 3),
    ],
    ids=[
        *("subclassed", "unbuilt", "any size", "one batch size", "one output of all"),
        *("None", "number", "layer"),
    ],
)
def test_what_is_no_model_of_a_fixed_size_is_refused(export, model, tmp_path):
    with pytest.raises(ValueError, match="`model`"):
        export(model, tmp_path / "net")
    assert os.listdir(tmp_path) == []


def test_a_missing_runtime_is_named_before_the_work(network, occupied, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ImportError, match=r"keras_roots\[litert\]"):
        export_tflite(network(), occupied)


def test_a_folder_that_is_not_there_is_named_before_the_work(
    network, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        litert, "convert", lambda *args, **kwargs: pytest.fail("worked")
    )
    with pytest.raises(FileNotFoundError, match="existing folder.*missing"):
        export_tflite(network(), tmp_path / "missing" / "net")


def test_another_backend_says_how_to_export(run_python):
    printed = run_python(
        """
import keras_roots
model = keras_roots.RootNiN(root=8, input_shape=(8, 8, 3))
for export in (keras_roots.export_tflite, keras_roots.export_saved_model):
    try:
        export(model, "net")
    except ValueError as error:
        print(error)
""",
        KERAS_BACKEND="jax",
    )
    assert printed.count("start again with KERAS_BACKEND=tensorflow") == 2
