import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_roots.layers import lowering as lowerings
from keras_roots.layers.grouped_conv2d import GroupedConv2D

HOW = ("auto", "split")  # Native does not work everywhere.


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def built(*args, channels=8, data_format="channels_last", **kwargs):
    """A layer with random bias, built for images of any size."""
    layer = GroupedConv2D(
        *args, bias_initializer="random_normal", data_format=data_format, **kwargs
    )
    shape = [None, None, None, None]
    shape[-1 if data_format == "channels_last" else 1] = channels
    layer.build(tuple(shape))
    return layer


def expected_of(reference, layer, inputs, padding="same", **kwargs):
    outputs, _ = reference(
        inputs, layer.kernel, layer.groups, padding=padding, **kwargs
    )
    return layer.activation(outputs + np.asarray(layer.bias, "float64"))


def check_close(found, expected, tolerance=1e-4):
    found = np.asarray(tf.cast(found, "float64"))
    assert found.shape == tuple(expected.shape)
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    ("channels", "filters", "kwargs"),
    [
        (8, 8, {"groups": 4, "padding": "same"}),
        (6, 12, {"groups": 6, "strides": (1, 2)}),
        (8, 4, {"groups": 2, "dilation_rate": 2, "padding": "same"}),
        (6, 6, {"groups": 3, "strides": 2, "data_format": "channels_first"}),
    ],
    ids=str,
)
def test_equals_conv2d(channels, filters, kwargs):
    first = kwargs.get("data_format") == "channels_first"
    inputs = tf.constant(images(2, *((channels, 7, 9) if first else (7, 9, channels))))
    arguments = {"activation": "relu", "bias_initializer": "random_normal", **kwargs}
    stock = keras.layers.Conv2D(filters, 3, **arguments)
    layers = [GroupedConv2D(filters, 3, lowering=how, **arguments) for how in HOW]
    results = []
    for layer in (stock, *layers):
        layer.build(inputs.shape)
        layer.set_weights(stock.get_weights())
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs**2)
        results.append(
            [outputs, *tape.gradient(loss, [inputs, *layer.trainable_weights])]
        )
    for result in results[1:]:
        for found, wanted in zip(result, results[0], strict=True):
            check_close(found, np.asarray(wanted))


@pytest.mark.parametrize("lowering", HOW)
@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_every_way_to_run(reference, groups, lowering):
    layer = built(
        16, 3, padding="same", groups=groups, lowering=lowering, activation="relu"
    )
    inputs = images(2, 6, 5, 8)
    expected = expected_of(reference, layer, inputs)
    spec = tf.TensorSpec((None, None, None, 8))
    model = keras.Sequential([keras.Input((None, None, 8)), layer])
    for call in (
        layer,
        tf.function(layer),
        tf.function(layer, input_signature=[spec]),
        tf.function(layer, jit_compile=True),
        lambda x: model.predict(x, verbose=0),
        lambda x: next(iter(tf.data.Dataset.from_tensors(x).map(layer))),
        lambda x: tf.map_fn(lambda image: layer(image[None])[0], tf.constant(x)),
        lambda x: tf.vectorized_map(lambda image: layer(image[None])[0], x),
    ):
        check_close(call(inputs), expected)


@pytest.mark.parametrize("lowering", HOW)
def test_channels_first(reference, lowering):
    layer = built(
        12, 3, strides=(1, 2), groups=4, lowering=lowering, data_format="channels_first"
    )
    inputs = images(2, 7, 6, 8)
    expected = expected_of(reference, layer, inputs, "valid", strides=(1, 2))
    for call in (layer, tf.function(layer)):
        outputs = call(np.moveaxis(inputs, -1, 1))
        check_close(np.moveaxis(outputs, 1, -1), expected)


@pytest.mark.parametrize(
    ("policy", "compute_dtype", "tolerance"),
    [
        ("mixed_bfloat16", "bfloat16", 0.05),
        ("mixed_float16", "float16", 0.01),
        ("float64", "float64", 1e-9),
    ],
)
def test_dtype_policies(reference, policy, compute_dtype, tolerance):
    keras.config.set_dtype_policy(policy)
    layer = built(8, 3, padding="same", groups=4)
    inputs = images(2, 5, 5, 8)
    outputs = tf.function(layer)(inputs)
    assert outputs.dtype == compute_dtype
    assert layer.kernel.dtype == ("float64" if policy == "float64" else "float32")
    check_close(outputs, expected_of(reference, layer, inputs), tolerance)


@pytest.mark.parametrize("lowering", HOW)
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 0.05)]
)
def test_fit(reference, policy, tolerance, jit_compile, lowering):
    keras.config.set_dtype_policy(policy)
    layer = built(8, 3, padding="same", groups=4, lowering=lowering)
    model = keras.Sequential([keras.Input((5, 5, 8)), layer])
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda weights, outputs: weights * keras.ops.cast(outputs, "float32"),
        jit_compile=jit_compile,
    )
    inputs = images(4, 5, 5, 8)
    weights = images(4, 5, 5, 8)[::-1]
    kernel, bias = layer.get_weights()
    _, pull = reference(inputs, kernel, 4, padding="same")
    _, to_kernel = pull(weights / weights.size)
    model.fit(inputs, weights, batch_size=4, verbose=0)
    check_close(kernel - layer.kernel.numpy(), to_kernel, tolerance)
    check_close(
        bias - layer.bias.numpy(), weights.sum((0, 1, 2)) / weights.size, tolerance
    )


def test_used_from_threads(reference):
    lowerings.native_works.cache_clear()
    layers = [built(8, 3, padding="same", groups=groups) for groups in (2, 4, 8)]
    inputs = images(2, 5, 5, 8)
    outputs = {}

    def work(layer):
        outputs[layer] = tf.function(layer)(inputs)

    threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for layer in layers:
        check_close(outputs[layer], expected_of(reference, layer, inputs))


@pytest.mark.parametrize("device", ["/CPU:0", "/GPU:0"])
def test_device_scopes(reference, device):
    layer = built(8, 3, padding="same", groups=4)
    inputs = images(1, 5, 5, 8)
    with tf.device(device):
        outputs = [layer(inputs), tf.function(layer)(inputs)]
    for found in outputs:
        check_close(found, expected_of(reference, layer, inputs))


@pytest.mark.parametrize("lowering", HOW)
def test_lora(reference, tmp_path, lowering):
    layer = built(8, 3, padding="same", groups=4, lowering=lowering, lora_rank=2)
    layer.lora_kernel_b.assign(images(2, 8))
    inputs = images(1, 5, 5, 8)
    plain = layer._kernel.numpy()
    assert np.abs(layer.kernel - plain).max() > 0.1
    expected = expected_of(reference, layer, inputs)
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
    check_close(outputs, expected)
    gradients = tape.gradient(outputs, layer.trainable_weights)
    assert len(gradients) == 3
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    model = keras.Sequential([keras.Input((5, 5, 8)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    check_close(loaded(inputs), expected)


def test_too_small_images():
    # Without a bias nothing else would notice.
    layer = built(8, 3, groups=4, use_bias=False)
    with pytest.raises(ValueError, match="output size would be zero or negative"):
        layer(images(1, 2, 5, 8))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"lowering": "fast"},
            r"`lowering` must be one of .*split.*Received: lowering='fast'",
        ),
        ({"lowering": None}, "`lowering` must be one of .*Received: lowering=None"),
        ({"groups": 3}, "`filters` must be a multiple.*groups=3"),
        ({"groups": 0}, "`groups` must be an integer, 1 or more.*groups=0"),
        ({"groups": "a"}, "`groups` must be an integer, 1 or more.*groups='a'"),
        ({"groups": True}, "`groups` must be an integer, 1 or more.*groups=True"),
        ({"groups": 2.0}, "`groups` must be an integer, 1 or more.*groups=2.0"),
        ({"groups": -2}, "`groups` must be an integer, 1 or more.*groups=-2"),
        ({"filters": 0}, "`filters` must be an integer.*filters=0"),
        ({"strides": 2, "dilation_rate": 2}, "`strides > 1` not supported"),
        ({"padding": "causal"}, "`padding` must be one of.*causal"),
        ({"kernel_size": 0}, "kernel_size"),
    ],
    ids=str,
)
def test_bad_arguments(kwargs, message):
    arguments = {"filters": 8, "kernel_size": 3, "groups": 2, **kwargs}
    with pytest.raises(ValueError, match=message):
        GroupedConv2D(**arguments)


def test_groups_that_do_not_divide_the_channels():
    layer = GroupedConv2D(8, 3, groups=4)
    with pytest.raises(ValueError, match="Received groups=4, but the input has 6"):
        layer(images(1, 5, 5, 6))


def test_config_round_trip():
    layer = GroupedConv2D(
        8, (3, 5), (1, 2), "same", groups=4, lowering="split", name="grouped"
    )
    config = layer.get_config()
    assert config["lowering"] == "split"
    assert GroupedConv2D.from_config(config).get_config() == config
    restored = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(restored) is GroupedConv2D
    assert restored.get_config() == config


def test_takes_the_config_of_a_conv2d():
    stock = keras.layers.Conv2D(8, 3, groups=4, padding="same", activation="relu")
    layer = GroupedConv2D.from_config(stock.get_config())
    assert layer.get_config() == {**stock.get_config(), "lowering": "auto"}


def small_model(**kwargs):
    return keras.Sequential(
        [keras.Input((6, 5, 8)), built(8, 3, activation="relu", groups=4, **kwargs)]
    )


def test_weights_file(tmp_path):
    saved, loaded = small_model(lowering="split"), small_model()
    path = str(tmp_path / "model.weights.h5")
    saved.save_weights(path)
    loaded.load_weights(path)
    for found, wanted in zip(loaded.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("lowering", HOW)
def test_saved_model(reference, tmp_path, lowering):
    model = small_model(padding="same", lowering=lowering)
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    inputs = images(2, 6, 5, 8)
    check_close(loaded.serve(inputs), expected_of(reference, model.layers[0], inputs))
    if lowering == "split":
        (function,) = loaded.serve.concrete_functions
        graph = function.graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        assert sum(node.op == "Conv2D" for node in nodes) == 4


@pytest.mark.parametrize("lowering", HOW)
@pytest.mark.parametrize(
    "kwargs",
    [{}, {"strides": 2}, {"strides": (1, 2)}, {"dilation_rate": 2}],
    ids=str,
)
def test_litert(reference, kwargs, lowering):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = small_model(padding="same", lowering=lowering, **kwargs)
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    runner = interpreter.Interpreter(model_content=content)
    runner.allocate_tensors()
    inputs = images(1, 6, 5, 8)
    runner.set_tensor(runner.get_input_details()[0]["index"], inputs)
    runner.invoke()
    outputs = runner.get_tensor(runner.get_output_details()[0]["index"])
    layer = model.layers[0]
    expected = expected_of(
        reference,
        layer,
        inputs,
        strides=layer.strides,
        dilation_rate=layer.dilation_rate,
    )
    check_close(outputs, expected)


LOAD = """
import sys
import numpy as np
import keras_roots
import keras
model = keras.models.load_model("model.keras")
np.save("outputs.npy", model.predict(np.load("inputs.npy"), verbose=0))
print(type(model.layers[0]).__name__, model.layers[0].lowering)
"""


def test_keras_file_loads_elsewhere(reference, tmp_path, run_python):
    model = small_model(padding="same", lowering="split")
    model.save(tmp_path / "model.keras")
    inputs = images(2, 6, 5, 8)
    np.save(tmp_path / "inputs.npy", inputs)
    assert run_python(LOAD).split() == ["GroupedConv2D", "split"]
    check_close(
        np.load(tmp_path / "outputs.npy"),
        expected_of(reference, model.layers[0], inputs),
    )


# Predicts, trains for one step and predicts again, in three settings.
TRAIN = """
import contextlib
import sys
import numpy as np
{before}
import keras
from keras_roots.layers import GroupedConv2D, lowering
data = dict(np.load("data.npz"))
with {scope}:
    model = keras.Sequential([
        keras.Input((6, 5, 8)),
        GroupedConv2D(8, 3, padding="same", groups=4, activation="relu"),
    ])
    model.compile(keras.optimizers.SGD(1.0), loss=lambda weights, y: weights * y)
model.set_weights([data["kernel"], data["bias"]])
outputs = model.predict(data["inputs"], verbose=0)
model.fit(data["inputs"], data["weights"], batch_size=4, shuffle=False, verbose=0)
kernel, bias = model.get_weights()
np.savez("results.npz", outputs=outputs, kernel=kernel, bias=bias)
{after}
"""
SETTINGS = {
    "without oneDNN": (
        {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "0"},
        {
            "before": "",
            "scope": "contextlib.nullcontext()",
            "after": "print(lowering.native_works.cache_info().misses)\n"
            "float32 = ('CPU', 'float32', 'channels_last')\n"
            "print(lowering.native_works(*float32, dilated=False))",
        },
        ["1", "False"],
    ),
    "jax without TensorFlow": (
        {"KERAS_BACKEND": "jax"},
        {
            "before": "sys.modules['tensorflow'] = None",
            "scope": "contextlib.nullcontext()",
            "after": "print(keras.backend.backend())",
        },
        ["jax"],
    ),
    "two replicas": (
        {"KERAS_BACKEND": "tensorflow"},
        {
            "before": "import tensorflow as tf\n"
            "cpus = tf.config.list_physical_devices('CPU')\n"
            "two = [tf.config.LogicalDeviceConfiguration()] * 2\n"
            "tf.config.set_logical_device_configuration(cpus[0], two)\n"
            "strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])",
            "scope": "strategy.scope()",
            "after": "print(strategy.num_replicas_in_sync)",
        },
        ["2"],
    ),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_trains_in_other_settings(reference, tmp_path, run_python, setting):
    environment, code, printed = SETTINGS[setting]
    data = {
        "inputs": images(4, 6, 5, 8),
        "weights": images(4, 6, 5, 8)[::-1],
        "kernel": images(3, 3, 2, 8),
        "bias": images(8),
    }
    np.savez(tmp_path / "data.npz", **data)
    assert run_python(TRAIN.format(**code), **environment).split() == printed
    results = np.load(tmp_path / "results.npz")
    outputs, pull = reference(data["inputs"], data["kernel"], 4, padding="same")
    outputs = outputs + data["bias"]
    check_close(results["outputs"], np.maximum(outputs, 0))
    weights = data["weights"] * (outputs > 0) / outputs.size
    _, to_kernel = pull(weights)
    check_close(data["kernel"] - results["kernel"], to_kernel)
    check_close(data["bias"] - results["bias"], weights.sum((0, 1, 2)))
