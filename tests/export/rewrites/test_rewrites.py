"""Choosing and applying rewrites: they change a model, not what it computes."""

import keras
import pytest
from helpers import assert_same_outputs, assign_random
from keras import layers

import keras_roots
from keras_roots.export.litert import export_tflite
from keras_roots.export.rewrites import REWRITES, names, rewrite


def family(name, root, size):
    arguments = dict(root=root, input_shape=(size, size, 3), classifier_activation=None)
    return assign_random(keras_roots.create_model(name, classes=5, **arguments))


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
    assert_same_outputs(model, rewritten, images(3, size))


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
    model = assign_random(keras.Model(inputs, inner(inputs)))
    rewritten, changes = rewrite(model, "widen_stem", "int8")
    assert changes == {"widen_stem": {"stem": "2 pixels at a time"}}
    assert_same_outputs(model, rewritten, images(2))


def test_a_layer_with_two_places_stays(images):
    shared = layers.Conv2D(3, 5, padding="same")
    inputs = keras.Input((8, 8, 3))
    model = assign_random(keras.Model(inputs, shared(shared(inputs))))
    assert rewrite(model, "widen_stem", "int8")[1] == {}


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


class _Standardised(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        mean = keras.ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
        return super().convolution_op(inputs, 2 * (kernel - mean))


class _Negated(layers.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return -super().call(inputs, training=training, mask=mask)


class _Halved(layers.AveragePooling2D):
    def call(self, inputs):
        return super().call(inputs) / 2


class _Shifted(layers.Rescaling):
    def call(self, inputs):
        return super().call(inputs) + 1


class _Capped(layers.ReLU):
    def call(self, inputs):
        return keras.ops.minimum(super().call(inputs), inputs[..., ::-1])


def _shared(layer, first=None):
    """A network that calls a layer on its images, and on images of half the sides."""
    inputs = keras.Input((16, 16, 3))
    x = inputs if first is None else first(inputs)
    small = layers.AveragePooling2D(2, name="half")(x)
    outputs = [layers.GlobalAveragePooling2D()(layer(y)) for y in (x, small)]
    return keras.Model(inputs, outputs)


def _apart():
    """A layer that is called in a model, and in a model within it."""
    norm = layers.Rescaling([1.0, 2.0, 3.0], name="norm")
    inner = keras.Sequential([keras.Input((4, 4, 3)), norm, layers.Conv2D(4, 1)])
    inputs = keras.Input((16, 16, 3))
    x = inner(layers.AveragePooling2D(4, name="quarter")(norm(inputs)))
    return keras.Model(inputs, x)


def _residual(convolution=layers.Conv2D, norm=layers.BatchNormalization, share=False):
    """The sum of two projections, each with its normalisation or with a common one."""
    inputs = keras.Input((16, 16, 3))
    norms = [norm()] * 2 if share else [norm(), norm()]
    x = layers.Add(name="add")([n(convolution(16, 1)(inputs)) for n in norms])
    return keras.Model(inputs, x)


def _stem(follower, again=False, convolution=None):
    """A wide stem, and what follows it, perhaps twice."""
    inputs = keras.Input((32, 32, 3))
    convolution = convolution or layers.Conv2D(32, 9, padding="same", name="stem")
    x = follower(convolution(inputs))
    if again:
        x = follower(layers.Conv2D(32, 1)(x))
    return keras.Model(inputs, x)


# What takes part in a rewrite, and which layers still change.
STAY = [
    (_shared(layers.Normalization(name="norm")), "merge_normalization", []),
    (_shared(layers.Rescaling([1.0, 2.0, 3.0])), "merge_normalization", []),
    (_apart(), "merge_normalization", []),
    (
        _shared(layers.AveragePooling2D(2, 1, "same", name="pool")),
        "convolve_average_pools",
        ["half"],
    ),
    (_residual(share=True), "merge_projections", []),
    (_residual(convolution=_Standardised), "merge_projections", []),
    (_residual(norm=_Negated), "merge_projections", []),
    (_stem(layers.BatchNormalization(name="norm"), again=True), "widen_stem", ["stem"]),
    (_stem(_Negated()), "widen_stem", ["stem"]),
    (_stem(_Capped()), "widen_stem", ["stem"]),
    (_stem(layers.ReLU(), convolution=_Standardised(32, 9)), "widen_stem", []),
    (_stem(_Halved(2)), "convolve_average_pools", []),
    (_stem(_Shifted([0.5] * 16 + [2.0] * 16)), "merge_normalization", []),
    (_shared(_Standardised(16, 3, groups=1)), "pack_groups", []),
    (_shared(layers.Conv2DTranspose(3, 2, 2)), "convolve_transposed", []),
]


@pytest.mark.parametrize(("model", "name", "changed"), STAY)
def test_shared_layers_and_subclasses_stay(model, name, changed, images):
    assign_random(model)
    rewritten, changes = rewrite(model, name, "int8")
    assert list(changes.get(name, {})) == changed
    assert_same_outputs(model, rewritten, images(3, model.inputs[0].shape[1]))


def test_a_layer_that_is_called_twice_on_one_shape_changes(images):
    inputs = keras.Input((8, 8, 3))
    norm = layers.Rescaling([1.0, 2.0, 3.0], name="norm")
    pool = layers.AveragePooling2D(3, 1, "same", name="pool")
    x = layers.Concatenate()([pool(norm(inputs)), pool(norm(norm(inputs)))])
    model = assign_random(keras.Model(inputs, layers.Conv2D(4, 1)(x)))
    both = ["merge_normalization", "convolve_average_pools"]
    rewritten, changes = rewrite(model, both, "int8")
    assert changes == {
        both[0]: {"norm": "one depthwise convolution"},
        both[1]: {"pool": "depthwise convolution"},
    }
    assert_same_outputs(model, rewritten, images(3))


def test_a_layer_with_other_calls_outside_the_model_changes(images):
    layer = layers.Conv2D(32, 9, padding="same", name="stem")
    inputs = keras.Input((32, 32, 3))
    model = assign_random(keras.Model(inputs, layer(inputs)))
    layer(keras.Input((16, 16, 3)))
    rewritten, changes = rewrite(model, "widen_stem", "int8")
    assert list(changes["widen_stem"]) == ["stem"]
    assert_same_outputs(model, rewritten, images(3, 32))


def test_new_layers_take_no_name_of_the_model(images):
    keras.backend.clear_session()
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(32, 9, padding="same", name="stem")(inputs)
    for index in range(4):
        name = f"reshape_{index}" if index else "reshape"
        x = layers.Activation("tanh", name=name)(x)
    model = assign_random(keras.Model(inputs, x))
    keras.backend.clear_session()
    rewritten, changes = rewrite(model, "widen_stem", "int8")
    assert changes
    assert_same_outputs(model, rewritten, images(3, 32))


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_rewrites_keep_the_type_that_layers_compute_in(dtype):
    keras.config.set_dtype_policy(dtype)
    inputs = keras.Input((32, 32, 3), dtype="float32")
    x = layers.Conv2D(32, 9, padding="same")(layers.Rescaling([1.0, 2.0, 3.0])(inputs))
    model = keras.Model(inputs, layers.AveragePooling2D(3, 1, "same")(x))
    keras.config.set_dtype_policy("float32")
    rewritten, changes = rewrite(model, list(REWRITES), "int8")
    assert len(changes) == 3
    kinds = {layer.compute_dtype for layer in model.layers[1:]}
    assert {layer.compute_dtype for layer in rewritten.layers[1:]} == kinds
