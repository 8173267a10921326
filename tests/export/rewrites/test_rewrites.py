"""Rewrites change what a model is made of, not what it computes."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots import export
from keras_roots.export.litert import export_tflite
from keras_roots.export.rewrites import REWRITES, names, rewrite
from keras_roots.export.runner import LiteRTModel
from keras_roots.export.targets import TARGETS
from keras_roots.models import registry


def randomised(model):
    """Gives every weight a value that matters, BatchNorm's statistics too."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def family(name, root, size):
    arguments = dict(root=root, input_shape=(size, size, 3), classifier_activation=None)
    return randomised(registry.create_model(name, classes=5, **arguments))


def assert_same(model, rewritten, images):
    want = keras.tree.flatten(model(images, training=False))
    found = keras.tree.flatten(rewritten(images, training=False))
    for ours, theirs in zip(found, want, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        assert np.ptp(theirs) > 1e-3
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


# Family, root, size, and what each rewrite must find in it for int8.
FAMILIES = [
    ("root_nin", 32, 32, {"merge_normalization": 1, "widen_stem": 1, "pack_groups": 1}),
    ("root_resnet50", 64, 64, {"merge_projections": 4, "widen_stem": 1}),
    ("root_googlenet", 8, 64, {"merge_normalization": 1, "widen_stem": 1}),
    ("root_resnet20", 2, 32, {"merge_normalization": 1, "pack_groups": 6}),
    ("root_convnet", 4, 32, {"convolve_average_pools": 2, "widen_stem": 1}),
]


@pytest.mark.parametrize(("name", "root", "size", "expected"), FAMILIES)
def test_the_families_compute_the_same(name, root, size, expected, images):
    model = family(name, root, size)
    rewritten, changes = rewrite(model, "latency", "int8")
    found = {name: len(changed) for name, changed in changes.items()}
    assert expected.items() <= found.items()
    assert_same(model, rewritten, images(3, size))


@pytest.mark.parametrize("optimize", [None, [], "widen_stem"])
def test_nothing_to_do_leaves_the_model_itself(optimize):
    model = keras.Sequential([keras.Input((8, 8, 8)), layers.Conv2D(4, 3)])
    assert rewrite(model, optimize) == (model, {})


def test_latency_is_what_is_faster_for_the_type():
    assert "convolve_average_pools" in names("latency", "int8")
    assert "convolve_average_pools" not in names("latency", "float32")
    assert names(["pack_groups", "merge_projections"], "int8") == (
        "merge_projections",
        "pack_groups",
    )
    assert names(["latency", "convolve_average_pools"], "float32") == tuple(REWRITES)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"optimize": "speed"}, "`optimize` must be None, 'latency', or.*'speed'"),
        ({"optimize": ["latency", "none"]}, "`optimize` must be"),
        ({"optimize": "latency", "target": "sse"}, "`target` must be one of.*'sse'"),
        ({"optimize": "latency", "dtype": "int4"}, "`dtype` must be one of.*'int4'"),
    ],
)
def test_impossible_arguments_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        rewrite(keras.Sequential([keras.Input((8, 8, 3))]), **arguments)


def test_models_within_models_are_rewritten(images):
    inputs = keras.Input((8, 8, 3))
    inner = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(16, 5, 2, padding="same", name="stem")]
    )
    model = randomised(keras.Model(inputs, inner(inputs)))
    rewritten, changes = rewrite(model, "widen_stem", "int8")
    assert changes == {"widen_stem": {"stem": "2 pixels at a time"}}
    assert_same(model, rewritten, images(2))


def test_a_layer_with_two_places_stays(images):
    shared = layers.Conv2D(3, 5, padding="same")
    inputs = keras.Input((8, 8, 3))
    model = randomised(keras.Model(inputs, shared(shared(inputs))))
    assert rewrite(model, "widen_stem", "int8")[1] == {}


# drop_auxiliary_heads


def test_auxiliary_heads_go():
    model = keras_roots.RootGoogLeNet(
        root=8, aux_heads=True, classes=5, input_shape=(64, 64, 3)
    )
    rewritten, changes = export.drop_auxiliary_heads(model)
    assert (len(model.outputs), len(rewritten.outputs)) == (3, 1)
    assert len(changes) == 2
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3))
    np.testing.assert_array_equal(rewritten(images), model(images)[0])


def test_a_file_without_auxiliary_heads_is_compared_without_them(tmp_path, images):
    inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3)(inputs))
    outputs = [layers.Dense(5)(x), layers.Dense(5, name="aux1_predictions")(x)]
    model = keras.Model(inputs, outputs)
    path = tmp_path / "net.tflite"
    report = export_tflite(
        model, path, optimize="drop_auxiliary_heads", check_data=images(4)
    )
    assert report.changes == {"drop_auxiliary_heads": {"aux1_predictions": "left out"}}
    assert len(LiteRTModel(path).predict(images(1))) == 1


# merge_projections


def _residual(strides=1, use_bias=True, batch_norm=True, activation=None, groups=1):
    inputs = keras.Input((9, 9, 8))

    def project(x, name):
        x = layers.Conv2D(16, 1, strides, use_bias=use_bias, name=name, groups=groups)(
            x
        )
        return layers.BatchNormalization(scale=use_bias)(x) if batch_norm else x

    branch = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    outputs = layers.ReLU()(
        layers.Add(name="add")([project(branch, "a"), project(inputs, "b")])
    )
    return randomised(keras.Model(inputs, outputs))


@pytest.mark.parametrize("strides", [1, 2, (1, 3)])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_two_projections_become_one(strides, use_bias, batch_norm):
    model = _residual(strides, use_bias, batch_norm)
    rewritten, changes = export.merge_projections(model)
    assert changes == {"add": "a + b"}
    assert not any(isinstance(layer, layers.Add) for layer in rewritten.layers)
    assert rewritten.get_layer("add").kernel.shape == (1, 1, 12, 16)
    images = np.random.default_rng(0).normal(size=(2, 9, 9, 8))
    assert_same(model, rewritten, images)


def _other_sums():
    inputs = keras.Input((9, 9, 8))
    conv = layers.Conv2D(8, 1)
    shared = conv(inputs)
    yield "identity", inputs, layers.Add()([conv(inputs), inputs])
    yield (
        "spatial",
        inputs,
        layers.Add()(
            [layers.Conv2D(8, 3, padding="same")(x) for x in (inputs, inputs)]
        ),
    )  # noqa: E501
    yield (
        "used elsewhere",
        inputs,
        [layers.Add()([shared, layers.Conv2D(8, 1)(inputs)]), shared],
    )  # noqa: E501
    yield "three", inputs, layers.Add()([layers.Conv2D(8, 1)(inputs) for _ in range(3)])
    yield (
        "activation",
        inputs,
        layers.Add()(
            [layers.Conv2D(8, 1, activation="relu")(inputs) for _ in range(2)]
        ),
    )  # noqa: E501
    yield (
        "groups",
        inputs,
        layers.Add()([layers.Conv2D(8, 1, groups=2)(inputs) for _ in range(2)]),
    )  # noqa: E501


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [pytest.param(*rest, id=name) for name, *rest in _other_sums()],
)
def test_other_sums_stay(inputs, outputs):
    assert export.merge_projections(keras.Model(inputs, outputs))[1] == {}


# merge_normalization


@pytest.mark.parametrize(
    "layer",
    [
        layers.Rescaling([1.0, 2.0, 3.0], [0.5, -1.0, 2.0]),
        layers.Rescaling(0.5, [0.5, -1.0, 2.0]),
        layers.Rescaling([[[1.0, 2.0, 3.0]]]),
        layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
    ],
)
def test_pixels_are_normalised_in_one_operation(layer, images):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3)(layer(inputs)))
    rewritten, changes = export.merge_normalization(model)
    assert list(changes) == [layer.name]
    assert not any(type(found) is type(layer) for found in rewritten.layers)
    assert_same(model, rewritten, images(2))


def test_batch_norm_that_no_convolution_absorbs():
    inputs = keras.Input((4, 4, 32))
    x = layers.BatchNormalization(name="first", center=False)(inputs)
    x = layers.Conv2D(32, 1)(layers.ReLU()(x))
    x = layers.BatchNormalization(name="after")(x)
    x = layers.BatchNormalization(name="twice")(x + inputs)
    x = layers.Conv2D(32, 1, activation="relu")(x)
    x = layers.BatchNormalization(name="activated")(x)
    model = randomised(keras.Model(inputs, x))
    rewritten, changes = export.merge_normalization(model)
    assert set(changes) == {"twice", "activated"}
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 32))
    assert_same(model, rewritten, images)


def test_two_numbers_stay():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(0.5, -1)])
    assert export.merge_normalization(model)[1] == {}


# widen_stem


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("size", "kernel", "strides", "pixels"),
    [
        (16, 7, 2, 2),
        (32, 5, 1, 2),
        (28, 11, 4, 4),
        (20, (3, 7), (1, 2), 2),
        (24, 9, 1, 2),
        (16, 6, 2, 2),
        (15, 7, 2, None),
        (16, (7, 1), 2, None),
        (16, 7, 3, None),
    ],
)
def test_rows_of_pixels_are_widened(size, kernel, strides, pixels, padding, batch_norm):
    inputs = keras.Input((size, size, 3))
    conv = layers.Conv2D(
        32, kernel, strides, padding, use_bias=not batch_norm, name="c"
    )
    x = conv(inputs)
    if batch_norm:
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = randomised(keras.Model(inputs, layers.Conv2D(4, 1)(x)))
    tile = TARGETS["avx512"]["int8"]
    rewritten, changes = export.widen_stem(model, tile)
    if padding == "same":
        assert changes == ({"c": f"{pixels} pixels at a time"} if pixels else {})
    images = np.random.default_rng(0).normal(size=(2, size, size, 3))
    assert_same(model, rewritten, images)


@pytest.mark.parametrize(
    ("target", "dtype", "widened"),
    [
        ("avx512", "int8", True),
        ("avx2", "int8", True),
        ("avx512", "float32", False),
        ("neon", "int8", False),
        ("neon", "float32", False),
    ],
)
def test_stems_are_widened_where_it_pays(target, dtype, widened):
    model = family("root_resnet50", 64, 64)
    changes = rewrite(model, "widen_stem", dtype, target)[1]
    assert bool(changes) is widened


@pytest.mark.parametrize(
    "arguments",
    [
        {"dilation_rate": 2},
        {"activation": "softmax"},
        {"groups": 3, "filters": 6},
    ],
)
def test_other_stems_stay(arguments):
    arguments = {"filters": 4, "kernel_size": 5, "padding": "same", **arguments}
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(**arguments)])
    assert rewrite(model, "widen_stem", "int8")[1] == {}


# convolve_average_pools


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("size", "pool", "strides"),
    [((16, 16), 3, 2), ((9, 7), (3, 2), (2, 1)), ((8, 8), 5, 3), ((8, 8), 2, 2)],
)
def test_average_pools_are_convolutions(size, pool, strides, padding):
    inputs = keras.Input((*size, 6))
    model = keras.Model(
        inputs, layers.AveragePooling2D(pool, strides, padding, name="pool")(inputs)
    )
    rewritten, changes = export.convolve_average_pools(model)
    assert changes == {"pool": "depthwise convolution"}
    images = np.random.default_rng(0).normal(size=(2, *size, 6))
    assert_same(model, rewritten, images)


def test_large_average_pools_stay():
    model = keras.Sequential([keras.Input((8, 8, 4)), layers.AveragePooling2D((4, 7))])
    assert export.convolve_average_pools(model)[1] == {}


@pytest.mark.slow
def test_a_rewritten_int8_file_agrees_with_the_model(tmp_path, images):
    model = family("root_nin", 8, 32)
    data = images(64, 32)
    arguments = dict(quantize="int8", calibration_data=data)
    plain = export_tflite(model, tmp_path / "plain", **arguments)
    fast = export_tflite(model, tmp_path / "fast", optimize="latency", **arguments)
    assert set(fast.changes) >= {"widen_stem", "merge_normalization"}
    assert "AVERAGE_POOL_2D" in (plain.undelegated or {"AVERAGE_POOL_2D": 1})
    assert "AVERAGE_POOL_2D" not in (fast.undelegated or {})
    assert fast.relative_difference < 1.5 * plain.relative_difference + 0.02
