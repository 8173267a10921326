import os

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.export import saved_model
from keras_roots.export.agreement import ExportError
from keras_roots.export.saved_model import export_saved_model
from keras_roots.layers.grouped_conv2d import GroupedConv2D, lowerings
from keras_roots.layers.lowering import native_works

needs_native = pytest.mark.skipif(
    not native_works("CPU", "float32", "channels_last", dilated=False),
    reason="no native grouped convolution on this machine",
)


def _operations(folder):
    """Types of the operations in the signature's graph, functions included."""
    import tensorflow as tf

    graph = tf.saved_model.load(str(folder)).signatures["serving_default"].graph
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    return [node.op for node in nodes]


_SERVE = """
import numpy as np
import tensorflow as tf

images = np.load("images.npy")
loaded = tf.saved_model.load("net")
for size in (1, 6):
    (outputs,) = loaded.signatures["serving_default"](
        images=tf.constant(images[:size])
    ).values()
    np.save(f"outputs{size}.npy", outputs)

# As TensorFlow Serving and the C++ interface load it.
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    meta = tf.compat.v1.saved_model.load(session, ["serve"], "net")
    signature = meta.signature_def["serving_default"]
    (outputs,) = signature.outputs.values()
    np.save(
        "session.npy",
        session.run(outputs.name, {signature.inputs["images"].name: images}),
    )

choice = loaded.choice.resource_handle
print(bool(tf.raw_ops.ReadVariableOp(resource=choice, dtype=tf.bool)))
"""


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_native), False])
def test_the_host_chooses(native, network, images, tmp_path, run_python):
    model = network()
    report = export_saved_model(model, tmp_path / "net", check_data=images(6))
    assert report.relative_difference < 1e-5
    assert report.top1_agreement == 1.0
    np.save(tmp_path / "images.npy", images(6))
    printed = run_python(_SERVE, TF_ENABLE_ONEDNN_OPTS=str(int(native)))
    assert printed.split()[-1] == str(native)
    want = np.asarray(model(images(6)))
    for name, expected in (
        ("outputs6", want),
        ("outputs1", want[:1]),
        ("session", want),
    ):
        outputs = np.load(tmp_path / f"{name}.npy")
        np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_the_native_form_fails_on_hosts_without(network, images, tmp_path, run_python):
    """Which is why there is a choice: if this passes one day, it can go."""
    saved_model.write_saved_model(network(), str(tmp_path / "net"), "native")
    np.save(tmp_path / "images.npy", images(6))
    with pytest.raises(AssertionError, match="grouped convolutions"):
        run_python(_SERVE, TF_ENABLE_ONEDNN_OPTS="0")


@needs_native
@pytest.mark.parametrize("wrong", ["split", "native"])
def test_both_ways_are_compared_with_the_model(
    wrong, network, images, tmp_path, monkeypatch
):
    convolve = lowerings.grouped_conv2d

    def sabotaged(*args, lowering, **kwargs):
        outputs = convolve(*args, lowering=lowering, **kwargs)
        return outputs * (1.5 if lowering == wrong else 1)

    report = export_saved_model(network(), tmp_path / "net", check_data=images())
    assert report.compared == ("split", "native")
    monkeypatch.setattr(lowerings, "grouped_conv2d", sabotaged)
    with pytest.raises(ExportError, match="differs from the model"):
        export_saved_model(network(), tmp_path / "sabotaged", check_data=images())
    assert os.listdir(tmp_path) == ["net"]


@pytest.mark.parametrize(
    ("lowering", "count"),
    [("split", 4), pytest.param("native", 1, marks=needs_native), ("auto", 5)],
)
def test_what_each_lowering_holds(lowering, count, network, tmp_path):
    report = export_saved_model(network(groups=4), tmp_path / "net", lowering)
    both = 2 if lowering == "auto" else 1
    assert _operations(tmp_path / "net").count("Conv2D") == 2 * both + count
    assert report.lowering == lowering


def test_weights_are_stored_once(tmp_path):
    model = keras.Sequential(
        [keras.Input((4, 4, 64)), GroupedConv2D(1024, 3, groups=4), layers.Flatten()]
    )
    export_saved_model(model, tmp_path / "net")
    stored = os.path.getsize(
        tmp_path / "net" / "variables" / "variables.data-00000-of-00001"
    )
    assert 0 <= stored - 4 * (3 * 3 * 16 * 1024 + 1024) < 10_000


def test_dilated_and_nested_groups(tmp_path):
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            GroupedConv2D(8, 3, groups=2, dilation_rate=2, padding="same"),
        ]
    )
    model = keras.Sequential(
        [
            keras.Input((8, 8, 8)),
            GroupedConv2D(8, 3, groups=2, strides=2, padding="same"),
            keras.layers.UpSampling2D(),
            inner,
            layers.Flatten(),
        ]
    )
    report = export_saved_model(model, tmp_path / "net")
    assert report.relative_difference < 1e-5
    assert _operations(tmp_path / "net").count("Conv2D") == 2 * (1 + 2)


def test_stock_groups_are_split_too(tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(8, 3, groups=4), layers.Flatten()]
    )
    export_saved_model(model, tmp_path / "net", "split")
    operations = _operations(tmp_path / "net")
    assert "DepthwiseConv2dNative" in operations or operations.count("Conv2D") == 4


def test_an_existing_saved_model_is_replaced(network, tmp_path):
    export_saved_model(network(groups=1), tmp_path / "net")
    assert _operations(tmp_path / "net").count("Conv2D") == 3
    export_saved_model(network(groups=4), tmp_path / "net", "split")
    assert _operations(tmp_path / "net").count("Conv2D") == 6
    assert os.listdir(tmp_path) == ["net"]


def test_the_report_prints_as_a_table(network, images, tmp_path):
    report = export_saved_model(network(), tmp_path / "net", check_data=images(7))
    total = sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(tmp_path / "net")
        for name in names
    )
    assert report.file_size == total
    for part in ("auto (compared: split", "7 images", f"{total:,} bytes", "100.0%"):
        assert part in str(report)


def test_a_folder_of_something_else_is_refused(network, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="holds other files"):
        export_saved_model(network(), tmp_path)
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"lowering": "fast"}, "`lowering` must be one of.*'fast'"),
        ({"lowering": 3}, "`lowering` must be one of.*3"),
        ({"check_data": np.zeros((4, 4, 4, 3))}, "`check_data`"),
        ({"check_data": 3}, "`check_data` must be"),
        ({"path": 3}, "`path` must be a path. Received: path=3"),
        ({"path": None}, "`path` must be a path"),
    ],
)
def test_impossible_arguments_write_nothing(arguments, text, network, tmp_path):
    with pytest.raises(ValueError, match=text):
        export_saved_model(network(), **{"path": tmp_path / "net", **arguments})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("groups", [1, 2])
def test_inputs_and_outputs_of_any_structure(groups, tmp_path):
    import tensorflow as tf

    shapes = {"zone": (4,), "age": (4, 4, 4)}
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    maps = GroupedConv2D(4, 3, groups=groups)(inputs["age"])
    added = layers.GlobalAveragePooling2D()(maps) - 2 * inputs["zone"]
    model = keras.Model(inputs, {"sum": added, "maps": [maps, 3 * maps]})
    rng = np.random.default_rng(0)
    given = {
        "zone": rng.normal(size=(5, 4)).astype("float32"),
        "age": rng.normal(size=(5, 4, 4, 4)).astype("float32"),
    }
    report = export_saved_model(model, tmp_path / "net", check_data=given)
    assert (report.images, report.relative_difference < 1e-5) == (5, True)
    assert export_saved_model(model, tmp_path / "other").images == 16
    serve = tf.saved_model.load(str(tmp_path / "net")).signatures["serving_default"]
    found = serve(**{name: tf.constant(array) for name, array in given.items()})
    expected = model(given)
    assert sorted(found) == ["maps/0", "maps/1", "sum"]
    for name, output in {
        "sum": expected["sum"],
        "maps/0": expected["maps"][0],
        "maps/1": expected["maps"][1],
    }.items():
        np.testing.assert_allclose(found[name], output, atol=1e-5)


def test_native_is_refused_where_it_cannot_be_checked(network, tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model, "native_works", lambda *args, **kwargs: False)
    with pytest.raises(ValueError, match="'split' works everywhere"):
        export_saved_model(network(), tmp_path / "net", "native")
    assert os.listdir(tmp_path) == []


def test_a_saved_model_that_computes_something_else_is_an_error(
    network, images, tmp_path, monkeypatch
):
    write = saved_model.write_saved_model

    def sabotaged(model, *args):
        write(keras.models.clone_model(model), *args)

    monkeypatch.setattr(saved_model, "write_saved_model", sabotaged)
    (tmp_path / "net").mkdir()
    with pytest.raises(ExportError, match="differs from the model"):
        export_saved_model(network(), tmp_path / "net", check_data=images())
    assert os.listdir(tmp_path) == ["net"]
    assert os.listdir(tmp_path / "net") == []


def test_reduced_precision_is_exported_as_float32(network, tmp_path, images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    report = export_saved_model(network(), tmp_path / "net", check_data=images())
    assert report.relative_difference < 1e-5
