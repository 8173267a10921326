"""Quantisation-aware training: what it rounds, and the files that come of it."""

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots import export, sparsity
from keras_roots.export.agreement import ExportError
from keras_roots.tf_keras_twin.conversion import from_tf_keras
from keras_roots.tf_keras_twin.quantization import export_int8, quantizable

SHAPE = (6, 6, 3)


def test_training_and_what_comes_of_it(network, images, tmp_path, fit, rounded):
    """Rescaling, shortcut, groups and BatchNorm: trained, exported, brought back."""
    frozen = network.get_layer("head")
    frozen.trainable = False
    data = images(SHAPE, 8)
    twin = quantizable(network, data)
    assert sorted(rounded(twin)) == sorted(
        "images_range scale conv relu grouped_bn out pool head".split()
    )
    fit(twin, data)
    report = export_int8(twin, tmp_path / "net.tflite", data, min_agreement=1)
    assert report.operations == {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "ADD": 1} | {
        "MEAN": 1,
        "FULLY_CONNECTED": 1,
        "SOFTMAX": 1,
        "QUANTIZE": 1,
        "DEQUANTIZE": 1,
    }
    assert report.float_operations == {}
    assert report.relative_difference < 0.03
    assert "8 images" in str(report) and "int8" in str(report)
    back = from_tf_keras(twin, network)
    for layer in network.layers:
        for old, new in zip(
            layer.get_weights(), back.get_layer(layer.name).get_weights(), strict=True
        ):
            assert np.array_equal(old, new) == (layer.name == "head")


def test_trained_ranges_of_a_rewritten_model(network, images, rounded):
    """Those of layers that are left are taken over, others recorded."""
    data = images(SHAPE, 8)
    trained = quantizable(network, 3 * data)
    first = network.get_layer("conv").output
    rest = keras.Model(first, network.output)
    again = quantizable(rest, images(rest.input_shape[1:], 8), ranges=trained)
    names = ("relu", "grouped_bn", "out", "pool", "head")
    for name in names:
        ours, theirs = (
            {end: ends.numpy() for end, ends in layer.output_range.items()}
            for layer in (x.get_layer(f"quant_{name}") for x in (again, trained))
        )
        assert ours == theirs
    (recorded,) = set(rounded(again)) - set(names)
    ends = again.get_layer(f"quant_{recorded}").output_range
    assert ends["max_var"].numpy() == images(rest.input_shape[1:], 8).max()


def test_zeros_stay(network, images, fit):
    """Those that keras_roots fixed, through quantisation-aware training."""
    sparse = sparsity.prune(network, 0.5, layers=["conv", "grouped"])
    twin = quantizable(sparse, images(SHAPE, 4))
    fit(twin, images(SHAPE, 4), run_eagerly=True)
    back = from_tf_keras(twin, sparse)
    for name in ("conv", "grouped"):
        before, after = (m.get_layer(name).get_weights()[0] for m in (sparse, back))
        np.testing.assert_array_equal(after == 0, before == 0)
        assert not np.array_equal(after, before)


def test_arguments(network, images, tmp_path):
    data = images(SHAPE, 4)
    with pytest.raises(ValueError, match="`calibration_data` must be"):
        quantizable(network, images((5, 5, 3)))
    pixels = keras.Input((6, 6, 3), dtype="uint8", name="pixels")
    rescaled = keras.layers.Rescaling(1 / 255)(pixels)
    with pytest.raises(ValueError, match="inputs of floats.*'pixels' of uint8"):
        quantizable(keras.Model(pixels, network(rescaled)), data.astype("uint8"))
    twin = quantizable(network, data)
    path = tmp_path / "net.tflite"
    with pytest.raises(ValueError, match="`batch_size` must be an integer.*=0"):
        export_int8(twin, path, data, batch_size=0)
    with pytest.raises(ValueError, match="`min_agreement` must be a number.*=2"):
        export_int8(twin, path, data, min_agreement=2)
    with pytest.raises(ValueError, match="`check_data` must be"):
        export_int8(twin, path, data[..., :1])
    twin.get_layer("quant_head").layer.bias.assign([np.nan] * 3)
    with pytest.raises(ExportError, match="NaN"):
        export_int8(twin, path, data)
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["root_nin", "root_resnet20", "root_convnet"])
def test_networks_of_the_zoo(name, tmp_path):
    model = keras_roots.create_model(
        name, root=4, input_shape=(8, 8, 3), classifier_activation=None
    )
    pixels = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("float32")
    twin = quantizable(model, pixels)
    import tf_keras

    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(tf_keras.optimizers.SGD(1e-3), loss)
    twin.fit(pixels, np.arange(16) % 10, verbose=0)
    report = export_int8(twin, tmp_path / "net.tflite", pixels)
    assert report.relative_difference < 0.1
    convolutions = [layer for layer in model.layers if hasattr(layer, "kernel_size")]
    assert any(layer.groups > 1 for layer in convolutions)
    assert report.operations["CONV_2D"] == len(convolutions)


def _normalisation():
    layer = keras.layers.Normalization(name="first")
    layer.adapt(np.random.default_rng(5).normal(1, 2, (30, *SHAPE)))
    return layer


@pytest.mark.parametrize(
    ("make", "operation"),
    [
        (lambda: keras.layers.Activation("hard_silu"), "HARD_SWISH"),
        (lambda: keras.layers.Conv2D(4, 3, activation="hard_silu"), "HARD_SWISH"),
        (lambda: lambda x: keras.layers.ReLU(6.0)(x + 3.0) * (1 / 6) * x, "MUL"),
        (lambda: keras.layers.Conv2DTranspose(4, 3, strides=2), "TRANSPOSE_CONV"),
        (_normalisation, "DEPTHWISE_CONV_2D"),
    ],
)
def test_layers_of_photograph_networks_become_int8(
    make, operation, randomise, images, tmp_path
):
    inputs = keras.Input(SHAPE)
    x = make()(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    statistics = model.layers[1].get_weights() if make is _normalisation else None
    randomise(model)
    if statistics:
        model.layers[1].set_weights(statistics)
    data = images(SHAPE, 8)
    report = export_int8(quantizable(model, data), tmp_path / "net.tflite", data)
    assert operation in report.operations
    assert not report.float_operations
    outputs = np.asarray(model(data))
    (ours,) = export.LiteRTModel(tmp_path / "net.tflite").predict(data)
    np.testing.assert_allclose(ours, outputs, atol=0.05)


@pytest.mark.parametrize("kind", ["SeparableConv2D", "LayerNormalization"])
def test_layers_of_several_steps_are_refused(kind, images):
    arguments = {"filters": 4, "kernel_size": 3} if kind == "SeparableConv2D" else {}
    layer = getattr(keras.layers, kind)(**arguments, name="it")
    model = keras.Sequential([keras.Input(SHAPE), layer])
    with pytest.raises(ValueError, match=f"be trained as int8.*'it' of type {kind}"):
        quantizable(model, images(SHAPE, 4))
