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
