"""Quantisation-aware training: what it rounds, and the files that come of it."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots import sparsity
from keras_roots.export.check import ExportError
from keras_roots.export.runner import LiteRTModel
from keras_roots.tf_keras_twin.conversion import from_tf_keras
from keras_roots.tf_keras_twin.quantization import export_int8, quantizable

SHAPE = (6, 6, 3)


def fit(model, inputs, rate=0.01, **kwargs):
    import tf_keras

    sgd = tf_keras.optimizers.SGD(rate)
    model.compile(sgd, "sparse_categorical_crossentropy", **kwargs)
    labels = np.arange(len(inputs)) % model.output_shape[-1]
    model.fit(inputs, labels, len(inputs) // 2, verbose=0)


def rounded(model):
    """Layers of a twin whose output is rounded, by names."""
    from keras_roots.tf_keras_twin.wrappers import QuantizedLayer

    return [
        layer.layer.name
        for layer in model.layers
        if isinstance(layer, QuantizedLayer) and layer.quantize_config.output
    ]


def model_of(build, randomise):
    inputs = keras.Input(SHAPE, name="images")
    return randomise(keras.Model(inputs, build(inputs)))


def before_activation(x):
    """BatchNorm first, as in ResNet v2; depthwise; activations within convolutions."""
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(x)
    shortcut = x
    x = layers.BatchNormalization(name="first")(x)
    x = layers.ReLU(6.0, name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(name="second")(x)
    x = layers.Activation("relu", name="activation")(x)
    x = layers.Conv2D(6, 1, activation="tanh", name="within")(x)
    x = layers.Add(name="add")([shortcut, x])
    x = layers.MaxPooling2D(2, name="pool")(x)
    return layers.Flatten(name="flatten")(x)


def branches(x):
    """A concatenation of what is used once; of what is used twice."""
    one = layers.Conv2D(4, 1, name="one")(x)
    two = layers.Conv2D(4, 3, padding="same", name="two", use_bias=False)(x)
    two = layers.BatchNormalization(name="norm")(two)
    pooled = layers.AveragePooling2D(3, 1, padding="same", name="average")(two)
    x = layers.Concatenate(name="first")([one, two, pooled])
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(12, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply(name="scaled")([x, gate])
    x = layers.LeakyReLU(0.1, name="leaky")(x)
    return layers.GlobalMaxPooling2D(name="max")(x)


# Which outputs are rounded, by LiteRT's rules; operations of the file.
CASES = [
    (
        before_activation,
        "images_range conv relu activation within add",
        {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "TANH": 1, "ADD": 1}
        | {"MAX_POOL_2D": 1, "RESHAPE": 1},
    ),
    (
        branches,
        "images_range norm first squeeze gate scaled leaky",
        {"CONV_2D": 3, "AVERAGE_POOL_2D": 1, "CONCATENATION": 1, "MEAN": 1}
        | {"LOGISTIC": 1, "MUL": 1, "LEAKY_RELU": 1, "REDUCE_MAX": 1},
    ),
]


@pytest.mark.parametrize(("build", "names", "operations"), CASES)
def test_file_agrees(build, names, operations, randomise, images, tmp_path):
    model = model_of(build, randomise)
    data = images(SHAPE, 8)
    twin = quantizable(model, data)
    assert sorted(rounded(twin)) == sorted(names.split())
    report = export_int8(twin, tmp_path / "net.tflite", data)
    ends = {"QUANTIZE": 1, "DEQUANTIZE": 1}
    assert report.operations == {**operations, **ends}
    assert report.float_operations == {}
    assert report.relative_difference < 0.02
    exact = np.asarray(model(data, training=False))
    found = LiteRTModel(tmp_path / "net.tflite").predict(data)[0]
    assert 0 < np.abs(found - exact).max() < 0.1 * np.ptp(exact)


def test_training_and_what_comes_of_it(network, images, tmp_path):
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


def test_ranges_and_levels(network, images):
    """Ranges are the data's; a kernel has 255 levels per filter, symmetric."""
    data = images(SHAPE, 8)
    twin = quantizable(network, data)
    conv = keras.Model(network.inputs, network.get_layer("conv").output)
    exact = np.asarray(conv(data, training=False))
    ranges = {
        weight.name.partition(":")[0].rpartition("/")[2]: weight.numpy()
        for weight in twin.get_layer("quant_conv").non_trainable_weights
    }
    np.testing.assert_allclose(ranges["output_min"], exact.min(), rtol=1e-5)
    np.testing.assert_allclose(ranges["output_max"], exact.max(), rtol=1e-5)
    kernel = network.get_layer("conv").get_weights()[0]
    step = np.abs(kernel).max((0, 1, 2)) / 127
    twin(data, training=False)
    found = np.asarray(twin.get_layer("quant_conv").layer.kernel)
    np.testing.assert_allclose(found, np.round(kernel / step) * step, atol=1e-6)


def test_one_scale_per_kernel(network, images, tmp_path):
    """Clusters stay clusters in the file, though BatchNorm scales each filter."""
    few = np.array([-1.0, -0.4, 0.25, 1.0], "float32")
    layer = network.get_layer("grouped")
    layer.set_weights([np.random.default_rng(0).choice(few, layer.kernel.shape)])
    data = images(SHAPE, 8)
    twin = quantizable(network, data, per_filter=False)
    fit(twin, data, rate=0.0)
    path = tmp_path / "net.tflite"
    report = export_int8(twin, path, data)
    assert report.relative_difference < 0.03
    tensors = LiteRTModel(path, delegate=False)._interpreter
    shapes = {details["index"]: details for details in tensors.get_tensor_details()}
    (kernel,) = [
        tensors.get_tensor(index)
        for index, details in shapes.items()
        if tuple(details["shape"]) == (8, 3, 3, 2)
    ]
    assert sorted(np.abs(np.unique(kernel)).tolist()) == [32, 51, 127, 127]


def test_trained_ranges_of_a_rewritten_model(network, images):
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


def test_factors_by_position_and_activations_that_are_none(images, tmp_path):
    """Rewritten average pools have such factors; models that give logits the others."""
    factors = np.random.default_rng(0).uniform(1, 2, SHAPE).tolist()
    inputs = keras.Input(SHAPE, name="images")
    x = layers.Rescaling(factors, name="factors")(inputs)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, layers.Activation("linear", name="logits")(x))
    data = images(SHAPE, 8)
    twin = quantizable(model, data)
    assert sorted(rounded(twin)) == ["factors", "images_range", "pool"]
    report = export_int8(twin, tmp_path / "net.tflite", data)
    assert report.operations == {"DEQUANTIZE": 1, "MEAN": 1, "MUL": 1, "QUANTIZE": 1}
    assert report.relative_difference < 0.02


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


def test_zeros_stay(network, images):
    """Those that keras_roots fixed, through quantisation-aware training."""
    sparse = sparsity.prune(network, 0.5, layers=["conv", "grouped"])
    twin = quantizable(sparse, images(SHAPE, 4))
    fit(twin, images(SHAPE, 4), run_eagerly=True)
    back = from_tf_keras(twin, sparse)
    for name in ("conv", "grouped"):
        before, after = (m.get_layer(name).get_weights()[0] for m in (sparse, back))
        np.testing.assert_array_equal(after == 0, before == 0)
        assert not np.array_equal(after, before)


def test_calls_and_layers_in_common(randomise, images, tmp_path):
    """A BatchNorm of two convolutions, and a nested model that ends with one."""
    inner = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(4, 1, name="conv")], name="inner"
    )
    shared = layers.BatchNormalization(name="shared")

    def build(x):
        one = shared(inner(x))
        two = shared(layers.Conv2D(4, 3, padding="same", name="other")(x))
        return layers.Subtract(name="less")([one, two])

    data = images(SHAPE, 4)
    twin = quantizable(model_of(build, randomise), data)
    assert sorted(rounded(twin)) == [
        "images_range",
        "inner/conv",
        "less",
        "other",
        "shared",
    ]
    report = export_int8(twin, tmp_path / "net.tflite", data)
    assert report.relative_difference < 0.03
    assert report.operations["DEPTHWISE_CONV_2D"] == 2


def test_arguments(network, images, tmp_path):
    data = images(SHAPE, 4)
    with pytest.raises(ValueError, match="`calibration_data` must be images"):
        quantizable(network, images((5, 5, 3)))
    pixels = keras.Input((6, 6, 3), dtype="uint8", name="pixels")
    rescaled = keras.layers.Rescaling(1 / 255)(pixels)
    with pytest.raises(ValueError, match="inputs of floats.*'pixels' of uint8"):
        quantizable(keras.Model(pixels, network(rescaled)), data.astype("uint8"))
    twin = quantizable(network, data)
    path = tmp_path / "net.tflite"
    with pytest.raises(ValueError, match="`check_data` must be images"):
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
