import helpers
import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.export import flatbuffer, packing
from keras_roots.export.packing import pack_groups
from keras_roots.export.runner import LiteRTModel
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.models.nin import RootNiN


def _dense(kernel, groups):
    """The kernel as a dense convolution would have it, filter by filter."""
    height, width, channels, filters = kernel.shape
    dense = np.zeros((height, width, channels * groups, filters), kernel.dtype)
    for number in range(filters):
        start = number // (filters // groups) * channels
        dense[:, :, start : start + channels, number] = kernel[..., number]
    return dense


def _layer(channels, filters, groups, **kwargs):
    layer = GroupedConv2D(filters, 3, groups=groups, name="grouped", **kwargs)
    return keras.Sequential([keras.Input((6, 6, channels)), layer])


@pytest.mark.parametrize("merged", [1, 2, 3, 6])
@pytest.mark.parametrize(("channels", "filters"), [(2, 18), (3, 6), (1, 12)])
def test_a_packed_kernel_is_the_same_convolution(merged, channels, filters):
    kernel = np.random.default_rng(0).normal(size=(3, 2, channels, filters))
    packed = packing.pack_kernel(kernel, 6, merged)
    np.testing.assert_array_equal(_dense(packed, 6 // merged), _dense(kernel, 6))


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "wanted", "expected"),
    [
        (64, 64, 16, 8, 8),
        (64, 64, 16, 16, 4),
        (64, 64, 16, 9, 4),
        (64, 64, 16, 4, 16),
        (64, 64, 16, 1, 16),
        (64, 32, 16, 1000, 1),
        (96, 192, 8, 16, 4),
        (60, 60, 15, 16, 3),
        (30, 60, 30, 8, 3),
        (16, 16, 16, 8, 16),
    ],
)
def test_groups_merge_until_they_have_the_channels(
    channels, filters, groups, wanted, expected
):
    packed = pack_groups(_layer(channels, filters, groups), wanted).get_layer("grouped")
    assert packed.groups == expected
    assert type(packed) is (GroupedConv2D if expected > 1 else layers.Conv2D)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("layer_type", [GroupedConv2D, layers.Conv2D])
def test_outputs_stay_the_same(use_bias, layer_type, images):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 1)(inputs)
    arguments = dict(padding="same", use_bias=use_bias, bias_initializer="normal")
    shared = layer_type(16, 3, groups=8, dilation_rate=2, **arguments)
    x = shared(shared(x))
    inner_inputs = keras.Input((8, 8, 16))
    inner = keras.Model(
        inner_inputs, layer_type(32, 3, strides=2, groups=4, **arguments)(inner_inputs)
    )
    model = keras.Model(inputs, inner(x))
    packed = pack_groups(model, 16)
    assert _groups(model) == [1, 4, 8]
    assert _groups(packed) == [1, 1, 1]
    want, found = np.asarray(model(images(2))), np.asarray(packed(images(2)))
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def _groups(model):
    return sorted(
        layer.groups
        for layer in model._flatten_layers()
        if isinstance(layer, layers.Conv2D)
    )


def test_configuration_is_carried_over():
    model = _layer(
        8, 16, 4, strides=2, padding="same", activation="relu", lowering="split"
    )
    packed = pack_groups(model, 4).get_layer("grouped")
    want = {**model.get_layer("grouped").get_config(), "groups": 2}
    assert packed.get_config() == want


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_litert_computes_the_same(quantize, network, images):
    model = network(groups=8)
    packed = pack_groups(model, 16)
    assert packed.get_layer("grouped").groups == 2
    want, found = (
        LiteRTModel(
            flatbuffer.convert(net, quantize=quantize, calibration_images=images())
        ).predict(images(seed=1))[0]
        for net in (model, packed)
    )
    assert np.ptp(want) > 0.1
    if quantize == "int8":
        np.testing.assert_array_equal(found, want)
    else:
        np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-7)


def _table(path, dtype, channels, times):
    """A table of one convolution of as many filters as channels, by groups."""
    rows = [
        (dtype, 1, [helpers.square_convolution(3, 8, channels, channels, groups)], ms)
        for groups, ms in times.items()
    ]
    return helpers.write_times(path, rows)


@pytest.fixture
def table(tmp_path):
    """A table in which 4 channels per group are fastest, 8 being nearly as fast."""
    times = {16: 1.0, 8: 0.8, 4: 0.7, 2: 0.71, 1: 1.5, 32: 0.01}
    return _table(tmp_path / "ms.csv", "float32", 32, times)


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "expected"),
    [
        (32, 32, 16, 4),  # 2 channels per group are slower than 8
        (32, 32, 8, 4),
        (32, 32, 4, 4),  # 16 are not faster than 8
        (32, 32, 2, 2),
        (32, 32, 32, 32),  # depthwise
        (64, 64, 8, 8),  # the same widths: 8 channels per group already
        (64, 64, 32, 8),
        (64, 64, 2, 2),  # 32 channels per group are the widest measured
        (256, 256, 2, 2),  # 128 were not measured
        (32, 64, 32, 32),  # nor was one channel with two filters
    ],
)
def test_auto_follows_the_table(channels, filters, groups, expected, table):
    packed = pack_groups(_layer(channels, filters, groups), latency_table=table)
    assert packed.get_layer("grouped").groups == expected


def test_auto_leaves_what_gains_less_than_the_noise(tmp_path):
    path = _table(tmp_path / "ms.csv", "int8", 8, {4: 1.0, 2: 0.99})
    packed = pack_groups(_layer(8, 8, 4), dtype="int8", latency_table=path)
    assert packed.get_layer("grouped").groups == 4


def test_the_kernels_of_the_target_decide(images):
    model = RootNiN(root=32, input_shape=(8, 8, 3))
    for target, groups in (("avx512-vnni", 16), ("avx2", 32), ("neon-dot", 16)):
        packed = pack_groups(model, dtype="int8", target=target)
        assert packed.get_layer("conv2a").groups == groups
    want, found = (np.asarray(m(images(2))) for m in (model, packed))
    np.testing.assert_allclose(found, want, rtol=1e-5)
    dense = RootNiN(root=1, input_shape=(8, 8, 3))
    assert packing.pack(dense, lambda layer: 2)[1] == {}


def test_what_was_packed_is_told():
    packed, changes = packing.pack(_layer(32, 32, 16), lambda layer: 4)
    assert packed.get_layer("grouped").groups == 4
    assert changes == {"grouped": "16 -> 4 groups"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"channels": 0}, "`channels` must be 'auto' or a positive integer.*0"),
        ({"channels": -4}, "`channels`"),
        ({"channels": 8.0}, "`channels`"),
        ({"channels": True}, "`channels`"),
        ({"channels": "most"}, "`channels`"),
        ({"dtype": "int4"}, "`dtype` must be one of.*'int4'"),
        ({"target": "sse"}, "`target` must be one of.*'sse'"),
    ],
)
def test_impossible_arguments_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        pack_groups(_layer(8, 8, 4), **arguments)


@pytest.mark.parametrize(
    "model",
    [helpers.Subclassed(), keras.Sequential([layers.Conv2D(4, 3)]), None, 3],
    ids=["subclassed", "unbuilt", "None", "number"],
)
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ValueError, match="`model` "):
        pack_groups(model, 8)


def test_a_constraint_on_the_kernel_is_left_behind():
    """It was on a kernel of another shape, such as the mask of a pruned one."""
    model = _layer(8, 8, 4, kernel_constraint="non_neg")
    assert pack_groups(model, 4).get_layer("grouped").kernel_constraint is None
