import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_roots.layers import lowering as lowerings

# Channels, filters, groups, kernel size, strides, dilation rate, padding.
CONVOLUTIONS = [
    (4, 8, 2, (3, 3), (1, 1), (1, 1), "same"),
    (4, 8, 2, (3, 3), (2, 2), (1, 1), "valid"),
    (12, 6, 3, (3, 3), (1, 2), (1, 1), "same"),
    (8, 4, 4, (5, 2), (2, 2), (1, 1), "same"),
    (9, 9, 3, (1, 1), (1, 1), (1, 1), "valid"),
    (6, 9, 3, (1, 3), (3, 1), (1, 1), "valid"),
    (4, 8, 2, (3, 3), (1, 1), (2, 2), "same"),
    (8, 8, 4, (2, 3), (1, 1), (1, 2), "valid"),
    # One channel per group: depthwise, then with channel multipliers.
    (6, 6, 6, (3, 3), (1, 1), (1, 1), "same"),
    (6, 12, 6, (3, 3), (2, 2), (1, 1), "valid"),
    (5, 15, 5, (3, 2), (1, 2), (1, 1), "same"),
    (5, 5, 5, (3, 3), (1, 1), (2, 2), "same"),
]
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 0.01, "bfloat16": 0.05}


def skip_unless_possible(lowering, dtype="float32", data_format="channels_last"):
    device = lowerings._device_kind()
    if lowering == "native" and not all(
        lowerings.native_works(device, dtype, data_format, dilated=dilated)
        for dilated in (False, True)
    ):
        pytest.skip("no native grouped convolution here")


def convolve(inputs, kernel, lowering, **changes):
    arguments = {
        "groups": inputs.shape[-1] // kernel.shape[2],
        "strides": (1, 1),
        "padding": "same",
        "data_format": "channels_last",
        "dilation_rate": (1, 1),
    }
    return lowerings.grouped_conv2d(
        inputs, kernel, **{**arguments, **changes}, lowering=lowering
    )


def check(reference, convolution, lowering, dtype, data_format, wrap):
    channels, filters, groups, size, strides, dilation_rate, padding = convolution
    random = np.random.default_rng(0)

    def rounded(*shape):
        return tf.cast(random.normal(size=shape), dtype)

    inputs, kernel = (
        rounded(2, 9, 8, channels),
        rounded(*size, channels // groups, filters),
    )
    expected, pull = reference(
        tf.cast(inputs, "float64"),
        tf.cast(kernel, "float64"),
        groups,
        strides,
        padding,
        dilation_rate,
    )
    weights = rounded(*expected.shape)
    expected = (expected, *pull(tf.cast(weights, "float64")))

    first = data_format == "channels_first"

    def differentiate(inputs, kernel):
        if first:
            inputs = tf.transpose(inputs, (0, 3, 1, 2))
        with tf.GradientTape() as tape:
            tape.watch((inputs, kernel))
            outputs = lowerings.grouped_conv2d(
                inputs,
                kernel,
                groups=groups,
                strides=strides,
                padding=padding,
                data_format=data_format,
                dilation_rate=dilation_rate,
                lowering=lowering,
            )
        of_outputs = tf.transpose(weights, (0, 3, 1, 2)) if first else weights
        to_inputs, to_kernel = tape.gradient(
            outputs, (inputs, kernel), output_gradients=of_outputs
        )
        if first:
            outputs, to_inputs = (
                tf.transpose(images, (0, 2, 3, 1)) for images in (outputs, to_inputs)
            )
        return outputs, to_inputs, to_kernel

    for found, wanted in zip(
        wrap(differentiate)(inputs, kernel), expected, strict=True
    ):
        assert found.dtype == dtype
        assert found.shape == wanted.shape
        error = np.abs(tf.cast(found, "float64") - wanted).max()
        assert error <= TOLERANCE[dtype] * np.abs(wanted).max()


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("lowering", lowerings.LOWERINGS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_values_and_gradients(reference, convolution, lowering, data_format):
    skip_unless_possible(lowering, data_format=data_format)
    check(reference, convolution, lowering, "float32", data_format, tf.function)


@pytest.mark.parametrize("lowering", lowerings.LOWERINGS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize(
    "convolution", [CONVOLUTIONS[index] for index in (0, 2, 6, 8, 11)], ids=str
)
def test_dtypes(reference, convolution, dtype, lowering):
    skip_unless_possible(lowering, dtype)
    check(reference, convolution, lowering, dtype, "channels_last", tf.function)


@pytest.mark.parametrize("lowering", lowerings.LOWERINGS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS[::3], ids=str)
def test_eagerly(reference, convolution, lowering):
    skip_unless_possible(lowering)
    check(reference, convolution, lowering, "float32", "channels_last", lambda f: f)


@pytest.mark.parametrize("lowering", lowerings.LOWERINGS)
@pytest.mark.parametrize("index", [0, 6, 8])
def test_compiled_by_xla(reference, index, lowering):
    check(
        reference,
        CONVOLUTIONS[index],
        lowering,
        "float32",
        "channels_last",
        lambda function: tf.function(function, jit_compile=True),
    )


@pytest.mark.parametrize("lowering", lowerings.LOWERINGS)
@pytest.mark.parametrize("groups", [2, 4])
def test_second_derivative(reference, groups, lowering):
    skip_unless_possible(lowering)
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1, 4, 4, 4))
    kernel = random.normal(size=(3, 3, 4 // groups, 4))
    direction = random.normal(size=kernel.shape)

    def penalty(step):
        outputs, pull = reference(
            inputs, kernel + step * direction, groups, padding="same"
        )
        return np.sum(pull(1 - np.tanh(outputs) ** 2)[0] ** 2)

    x, k = tf.constant(inputs, "float32"), tf.constant(kernel, "float32")
    with tf.GradientTape() as outer:
        outer.watch(k)
        with tf.GradientTape() as inner:
            inner.watch(x)
            outputs = tf.tanh(convolve(x, k, lowering))
        value = tf.reduce_sum(inner.gradient(outputs, x) ** 2)
    np.testing.assert_allclose(value, penalty(0), rtol=1e-4)
    slope = np.sum(outer.gradient(value, k) * direction)
    expected = (penalty(1e-5) - penalty(-1e-5)) / 2e-5
    np.testing.assert_allclose(slope, expected, rtol=1e-3)


def convolutions_in(function, *args):
    """Counts the convolutions, forward only, in a traced function."""
    graph = function.get_concrete_function(*args).graph
    return sum(node.type == "Conv2D" for node in graph.get_operations())


INPUTS = np.ones((1, 5, 5, 8), "float32")
KERNEL = np.ones((3, 3, 2, 8), "float32")


@pytest.mark.parametrize(("works", "count"), [(True, 1), (False, 4)])
def test_auto_follows_the_probe(monkeypatch, works, count):
    monkeypatch.setattr(lowerings, "native_works", lambda *args, **kwargs: works)
    function = tf.function(lambda x, k: convolve(x, k, "auto"))
    assert convolutions_in(function, INPUTS, KERNEL) == count


@pytest.mark.parametrize(("lowering", "count"), [("native", 1), ("split", 4)])
def test_forced_lowering(monkeypatch, lowering, count):
    monkeypatch.delattr(lowerings, "native_works")
    function = tf.function(lambda x, k: convolve(x, k, lowering))
    assert convolutions_in(function, INPUTS, KERNEL) == count


@pytest.mark.parametrize(("strides", "count"), [((2, 2), 0), ((1, 2), 8)])
def test_split_is_depthwise_where_strides_are_equal(strides, count):
    # Some CPUs have no depthwise kernel for unequal strides.
    function = tf.function(lambda x, k: convolve(x, k, "split", strides=strides))
    assert convolutions_in(function, INPUTS, KERNEL[:, :, :1]) == count


@pytest.mark.parametrize(("device", "count"), [("CPU", 4), ("GPU", 1)])
def test_auto_splits_for_xla_on_a_cpu(monkeypatch, device, count):
    monkeypatch.setattr(lowerings, "native_works", lambda *args, **kwargs: True)
    monkeypatch.setattr(lowerings, "_device_kind", lambda: device)

    @tf.function
    def inner(x, k):
        return convolve(x, k, "auto")

    def in_branch(x, k):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: convolve(x, k, "auto"), lambda: x)

    assert convolutions_in(inner, INPUTS, KERNEL) == 1
    compiled = tf.function(lambda x, k: convolve(x, k, "auto"), jit_compile=True)
    assert convolutions_in(compiled, INPUTS, KERNEL) == count
    compiled = tf.function(in_branch, jit_compile=True).get_concrete_function(
        INPUTS, KERNEL
    )
    (branch,) = (op for op in compiled.graph.get_operations() if "If" in op.type)
    name = branch.get_attr("then_branch").name
    nodes = compiled.graph.as_graph_def().library.function
    (then,) = (node for node in nodes if node.signature.name == name)
    assert sum(node.op == "Conv2D" for node in then.node_def) == count


def test_probe_runs_outside_the_trace():
    def trace():
        function = tf.function(lambda x, k: convolve(x, k, "auto"))
        return function.get_concrete_function(INPUTS, KERNEL).graph.as_graph_def()

    lowerings.native_works.cache_clear()
    probing = trace()
    assert lowerings.native_works.cache_info().misses == 1
    assert trace() == probing
    assert lowerings.native_works.cache_info().misses == 1


def test_probe_runs_outside_the_tape(reference):
    lowerings.native_works.cache_clear()
    inputs, kernel = tf.constant(INPUTS), tf.constant(KERNEL)
    with tf.GradientTape() as tape:
        tape.watch((inputs, kernel))
        outputs = convolve(inputs, kernel, "auto")
    assert lowerings.native_works.cache_info().misses == 1
    _, pull = reference(INPUTS, KERNEL, 4, padding="same")
    expected = pull(np.ones(outputs.shape))
    found = tape.gradient(outputs, (inputs, kernel))
    np.testing.assert_allclose(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1])


def test_probe_traces_where_functions_run_eagerly(monkeypatch):
    fused_in_graph = []
    relu = tf.nn.relu
    monkeypatch.setattr(
        tf.nn,
        "relu",
        lambda x: fused_in_graph.append(not tf.executing_eagerly()) or relu(x),
    )
    lowerings.native_works.cache_clear()
    tf.config.run_functions_eagerly(True)
    try:
        convolve(INPUTS, KERNEL, "auto")
    finally:
        tf.config.run_functions_eagerly(False)
        lowerings.native_works.cache_clear()
    assert fused_in_graph == [True]


def correct(conv2d, inputs, kernel, **kwargs):
    """What TensorFlow should compute, on every CPU."""
    groups = inputs.shape[-1] // kernel.shape[2]
    return tf.concat(
        [
            conv2d(group, filters, 1, "SAME")
            for group, filters in zip(
                tf.split(inputs, groups, -1), tf.split(kernel, groups, -1), strict=True
            )
        ],
        -1,
    )


@tf.custom_gradient
def wrong_gradient(outputs):
    return outputs, lambda gradient: 2 * gradient


def fails_when_fused(conv2d, inputs, kernel):
    if not tf.executing_eagerly():
        raise NotImplementedError
    return correct(conv2d, inputs, kernel)


def raises(conv2d, inputs, kernel):
    raise tf.errors.UnimplementedError(None, None, "no grouped convolution")


# A grouped convolution, as it might be, and whether it serves.
PLATFORMS = {
    "correct": (correct, True),
    "slightly rounding": (lambda *args: correct(*args) * 1.0001, True),
    "groups swapped": (lambda f, x, k: correct(f, x[..., ::-1], k), False),
    "groups ignored": (
        lambda f, x, k: f(tf.repeat(x[..., :2], 2, -1), tf.repeat(k, 2, 2), 1, "SAME"),
        False,
    ),
    "wrong gradient": (lambda *args: wrong_gradient(correct(*args)), False),
    "fails in graphs": (fails_when_fused, False),
    "raises": (raises, False),
    "not a number": (lambda *args: correct(*args) * np.nan, False),
}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_probe_judges(monkeypatch, platform):
    grouped, works = PLATFORMS[platform]
    conv2d = tf.nn.conv2d
    monkeypatch.setattr(
        tf.nn, "conv2d", lambda x, k, *args, **kwargs: grouped(conv2d, x, k)
    )
    judge = lowerings.native_works.__wrapped__
    assert judge("CPU", "float32", "channels_last", dilated=False) is works


@pytest.mark.parametrize("dtype", ["int32", "uint8"])
def test_probe_refuses_integers(dtype):
    for data_format, dilated in itertools.product(lowerings._LAYOUTS, (False, True)):
        assert not lowerings.native_works("CPU", dtype, data_format, dilated=dilated)
