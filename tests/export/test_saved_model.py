import os

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.export import ExportError, export_saved_model, saved_model
from keras_roots.layers.lowering import native_works


def _operations(folder):
    """Types of the operations in the signature's graph, functions included."""
    import tensorflow as tf

    graph = tf.saved_model.load(str(folder)).signatures["serving_default"].graph
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    return [node.op for node in nodes]


def test_the_default_form_runs_where_there_is_no_grouped_convolution(
    network, images, tmp_path, run_python
):
    model = network()
    report = export_saved_model(model, tmp_path / "net", check_data=images(6))
    assert report.relative_difference < 1e-5
    assert report.top1_agreement == 1.0
    np.save(tmp_path / "images.npy", images(6))
    run_python(
        """
import numpy as np
import tensorflow as tf

images = tf.constant(np.load("images.npy"))
try:
    tf.nn.conv2d(images[..., :2], tf.ones((3, 3, 1, 4)), 1, "SAME")
except tf.errors.OpError:
    pass  # as meant: graphs below fuse convolution + bias + ReLU as well
serve = tf.saved_model.load("net").signatures["serving_default"]
for size in (1, 6):
    (outputs,) = serve(images=images[:size]).values()
    np.save(f"outputs{size}.npy", outputs)
""",
        TF_ENABLE_ONEDNN_OPTS="0",
    )
    want = np.asarray(model(images(6)))
    np.testing.assert_allclose(np.load(tmp_path / "outputs6.npy"), want, atol=1e-5)
    np.testing.assert_allclose(np.load(tmp_path / "outputs1.npy"), want[:1], atol=1e-5)


def test_split_and_native_hold_different_operations(network, tmp_path):
    export_saved_model(network(groups=4), tmp_path / "split")
    assert _operations(tmp_path / "split").count("Conv2D") == 1 + 4 + 1
    if not native_works("CPU", "float32", "channels_last", dilated=False):
        pytest.skip("no native grouped convolution on this machine")
    report = export_saved_model(network(groups=4), tmp_path / "native", "native")
    assert _operations(tmp_path / "native").count("Conv2D") == 3
    assert report.lowering == "native"


def test_stock_groups_are_split_too(tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(8, 3, groups=4), layers.Flatten()]
    )
    export_saved_model(model, tmp_path / "net")
    operations = _operations(tmp_path / "net")
    assert "DepthwiseConv2dNative" in operations or operations.count("Conv2D") == 4


def test_an_existing_saved_model_is_replaced(network, tmp_path):
    export_saved_model(network(groups=1), tmp_path / "net")
    export_saved_model(network(groups=4), tmp_path / "net")
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
    for part in ("split", "7 images", f"{total:,} bytes", "100.0%"):
        assert part in str(report)


def test_a_folder_of_something_else_is_refused(network, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="holds other files"):
        export_saved_model(network(), tmp_path)
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"lowering": "auto"}, "`lowering` must be one of.*'auto'"),
        ({"check_data": np.zeros((4, 4, 4, 3))}, "`check_data`"),
    ],
)
def test_impossible_arguments_write_nothing(arguments, text, network, tmp_path):
    with pytest.raises(ValueError, match=text):
        export_saved_model(network(), tmp_path / "net", **arguments)
    assert os.listdir(tmp_path) == []


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
