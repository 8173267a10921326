import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.benchmarking import other_runtimes
from keras_roots.benchmarking.loaders import LOADERS
from keras_roots.export.agreement import ExportError
from keras_roots.layers.grouped_conv2d import GroupedConv2D

RUNTIMES = [
    pytest.param("onnxruntime", id="onnxruntime"),
    pytest.param("openvino", id="openvino"),
]


@pytest.fixture(autouse=True)
def installed():
    for package in ("onnx", "tf2onnx", "onnxruntime", "openvino"):
        pytest.importorskip(package)


def _network(activation="softmax", classes=5):
    """Convolutions with 4 and 2 groups, normalised, to scores."""
    model = keras.Sequential(
        [
            keras.Input((12, 10, 8)),
            GroupedConv2D(16, 3, groups=4, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(24, 3, strides=2, groups=2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes, activation=activation),
        ],
        name="network",
    )
    values = np.random.default_rng(1)
    model.layers[1].set_weights([values.uniform(0.5, 2, 16) for _ in range(4)])
    return model


def _pixels(count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 12, 10, 8)).astype("float32")


def _run(path, shapes, runtime, images):
    """Runs a file on images of the Keras model, in the order that it wants them."""
    ((name, shape),) = shapes.items()
    if shape[1] == images.shape[-1]:
        images = images.transpose(0, 3, 1, 2)
    assert images.shape == tuple(shape)
    run = LOADERS[runtime].load(path, {name: images}, 1)
    return [np.array(output) for output in run()]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_files_compute_what_the_model_computes(runtime, tmp_path):
    model, images = _network(), _pixels()
    path, shapes = other_runtimes.write(
        model, str(tmp_path), runtime, None, batch_size=3
    )
    assert shapes == {"images": (3, 8, 12, 10)}
    (scores,) = _run(path, shapes, runtime, images)
    np.testing.assert_allclose(scores, model(images), atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_int8_files_compute_about_that(runtime, tmp_path):
    model, images = _network(None, classes=40), _pixels()
    path, shapes = other_runtimes.write(
        model, str(tmp_path), runtime, "int8", batch_size=3
    )
    (scores,) = _run(path, shapes, runtime, images)
    expected = np.asarray(model(images))
    assert 0 < np.abs(scores - expected).max() < 0.1 * np.ptp(expected)


def test_constants_are_no_inputs(tmp_path):
    """Those of EfficientNetV2's normalisation, for instance."""
    import onnx

    normalization = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 9.0])
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), normalization, layers.Conv2D(2, 3), layers.Flatten()]
    )
    path, shapes = other_runtimes.write(model, str(tmp_path), "onnxruntime", None, 1)
    assert [tensor.name for tensor in onnx.load(path).graph.input] == ["images"]
    images = np.random.default_rng(2).normal(size=(1, 6, 6, 3)).astype("float32")
    (found,) = _run(path, shapes, "onnxruntime", images)
    np.testing.assert_allclose(found, model(images), atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_outputs_keep_their_order(runtime, tmp_path):
    image = keras.Input((6, 6, 3))
    outputs = [
        layers.Conv2D(filters, 3, name=f"n{filters}")(image) for filters in (5, 2)
    ]
    model = keras.Model(image, [*outputs, layers.Flatten()(outputs[0])])
    path, shapes = other_runtimes.write(
        model, str(tmp_path), runtime, None, batch_size=1
    )
    found = _run(path, shapes, runtime, np.ones((1, 6, 6, 3), "float32"))
    assert [output.shape for output in found] == [(1, 4, 4, 5), (1, 4, 4, 2), (1, 80)]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_several_inputs_keep_their_names(runtime, several, tmp_path):
    path, shapes = other_runtimes.write(several, str(tmp_path), runtime, None, 2)
    expected = {"picture": (2, 3, 8, 6), "numbers": (2, 4), "index": (2, 1)}
    assert shapes == expected
    values = np.random.default_rng(3)
    inputs = {
        "picture": values.normal(size=(2, 8, 6, 3)).astype("float32"),
        "numbers": values.normal(size=(2, 4)).astype("float32"),
        "index": np.array([[1], [0]], "int32"),
    }
    wanted = several(inputs)
    inputs["picture"] = np.ascontiguousarray(inputs["picture"].transpose(0, 3, 1, 2))
    found = LOADERS[runtime].load(path, inputs, 1)()
    for output, name in zip(found, ("map", "scores"), strict=True):
        np.testing.assert_allclose(output, wanted[name], atol=1e-5)


def test_onnx_keeps_groups_and_folds_normalisation(tmp_path):
    import onnx

    path, _ = other_runtimes.write(_network(), str(tmp_path), "onnxruntime", None, 1)
    nodes = onnx.load(path).graph.node
    kinds = [node.op_type for node in nodes]
    assert "BatchNormalization" not in kinds and "Mul" not in kinds
    assert kinds[:3] == ["Conv", "Relu", "Conv"]
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    groups = [
        attribute.i
        for node in convolutions
        for attribute in node.attribute
        if attribute.name == "group"
    ]
    assert groups == [4, 2]


def test_openvino_keeps_groups_and_float32(tmp_path):
    import openvino

    path, _ = other_runtimes.write(_network(), str(tmp_path), "openvino", None, 1)
    nodes = openvino.Core().read_model(path).get_ops()
    found = [node for node in nodes if node.get_type_name() == "GroupConvolution"]
    # Groups, filters and channels of a group, height, width.
    shapes = {tuple(node.input(1).get_shape()) for node in found}
    assert shapes == {(4, 4, 2, 3, 3), (2, 12, 8, 3, 3)}
    assert "f16" not in (tmp_path / "model.xml").read_text()


def test_onnx_int8_has_a_scale_for_each_filter(tmp_path):
    import onnx

    path, _ = other_runtimes.write(_network(), str(tmp_path), "onnxruntime", "int8", 1)
    graph = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    for filters, node in zip(
        (16, 24), (node for node in graph.node if node.op_type == "Conv"), strict=True
    ):
        image, kernel = (makers[name] for name in node.input[:2])
        assert image.op_type == kernel.op_type == "DequantizeLinear"
        assert list(constants[kernel.input[1]].dims) == [filters]
        assert constants[kernel.input[0]].data_type == onnx.TensorProto.INT8
        assert constants[image.input[2]].data_type == onnx.TensorProto.UINT8


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("scale", [1e-9, 1e3])
def test_a_wrong_conversion_is_found(runtime, scale, monkeypatch, tmp_path):
    """Though a softmax makes all scores alike, or hides all but the largest."""
    model = _network()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([scale * kernel, bias])
    other_runtimes.write(model, str(tmp_path), runtime, None, 1)
    convert = other_runtimes._to_onnx

    def convert_wrongly(*arguments):
        import onnx

        converted = convert(*arguments)
        constants = {tensor.name: tensor for tensor in converted.graph.initializer}
        node = next(node for node in converted.graph.node if node.op_type == "Conv")
        kernel = constants[node.input[1]]
        array = 1.2 * onnx.numpy_helper.to_array(kernel)
        kernel.CopyFrom(onnx.numpy_helper.from_array(array.astype("f"), kernel.name))
        return converted

    monkeypatch.setattr(other_runtimes, "_to_onnx", convert_wrongly)
    with pytest.raises(ExportError, match="differs from the model"):
        other_runtimes.write(model, str(tmp_path), runtime, None, 1)


def test_a_refusal_names_the_model_and_the_runtime(monkeypatch, tmp_path):
    def refuse(*arguments):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(other_runtimes, "_to_onnx", refuse)
    with pytest.raises(ExportError, match="'network' .* for openvino: no such opera"):
        other_runtimes.write(_network(), str(tmp_path), "openvino", None, 1)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("package", ["onnx", "tf2onnx", None])
def test_a_missing_package_is_named(runtime, package, monkeypatch):
    package = package or runtime
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"'{package}': pip .*keras_roots\[bench\]"):
        other_runtimes.require(runtime)
