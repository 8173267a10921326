"""Forms of a grouped convolution on JAX, and the choice among them."""

import numpy as np
import pytest
from keras import ops

from keras_roots.layers import jax_lowering

# Channels, filters, groups, kernel size, strides, dilation rate, padding.
CONVOLUTIONS = [
    (4, 8, 2, (3, 3), (1, 1), (1, 1), "same"),
    (8, 8, 4, (5, 5), (1, 1), (1, 1), "same"),
    (4, 8, 2, (3, 3), (2, 2), (1, 1), "valid"),
    (12, 6, 3, (3, 3), (2, 2), (1, 1), "same"),
    (9, 9, 3, (1, 1), (1, 1), (1, 1), "valid"),
    (4, 8, 2, (3, 2), (1, 1), (2, 2), "same"),
    (8, 8, 4, (2, 3), (1, 1), (1, 2), "valid"),
    (6, 12, 6, (3, 3), (1, 1), (1, 1), "same"),
]


def _random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


# XLA's own filter groups are tried on JAX below: not every CPU has TensorFlow's.
@pytest.mark.parametrize("form", sorted({*jax_lowering.FORMS} - {"native"}))
@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
def test_forms_compute_the_same(reference, form, convolution):
    channels, filters, groups, size, strides, dilation_rate, padding = convolution
    inputs = _random(2, 9, 8, channels)
    kernel = _random(*size, channels // groups, filters)
    expected, _ = reference(inputs, kernel, groups, strides, padding, dilation_rate)
    found = jax_lowering.FORMS[form](
        inputs,
        kernel,
        groups,
        {
            "strides": strides,
            "padding": padding,
            "data_format": "channels_last",
            "dilation_rate": dilation_rate,
        },
    )
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-4)


def test_block_diagonal_kernel():
    kernel = _random(3, 2, 4, 6)
    found = ops.convert_to_numpy(jax_lowering.block_diagonal(kernel, 2))
    expected = np.zeros((3, 2, 8, 6), "float32")
    expected[:, :, :4, :3] = kernel[..., :3]
    expected[:, :, 4:, 3:] = kernel[..., 3:]
    np.testing.assert_array_equal(found, expected)


ARGUMENTS = (
    ("data_format", "channels_last"),
    ("dilation_rate", (1, 1)),
    ("padding", "same"),
    ("strides", (1, 1)),
)


@pytest.mark.parametrize(
    ("platform", "tried"),
    [
        ("cpu", ["native", "split"]),
        ("gpu", ["native", "batched", "dense"]),
        ("tpu", ["native"]),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_the_fastest_of_a_platform_is_taken(monkeypatch, platform, tried, last):
    times = {form: i + 1.0 for i, form in enumerate(tried)}
    if last:
        times[tried[-1]] = 0.5
    forms = {form: name for name, form in jax_lowering.FORMS.items()}
    monkeypatch.setattr(
        jax_lowering, "_seconds", lambda form, *layer: times[forms[form]]
    )
    jax_lowering.fastest.cache_clear()
    layer = (2, 8, 8, 8), (3, 3, 2, 8), "float32", 4, ARGUMENTS
    assert jax_lowering.fastest(platform, *layer) == tried[-1 if last else 0]
    jax_lowering.fastest.cache_clear()


def test_layers_on_jax(run_python):
    """Every form and the choice, in a compiled training step; measured once a layer."""
    printed = run_python(
        """
import keras, numpy as np
from keras_roots.layers import GroupedConv2D, jax_lowering
rng = np.random.default_rng(0)
inputs = rng.normal(size=(4, 7, 6, 8)).astype("float32")
targets = rng.normal(size=(4, 7, 6, 12)).astype("float32")

def trained(kind, **how):
    first = how["data_format"] == "channels_first"
    x, y = (a.transpose(0, 3, 1, 2) if first else a for a in (inputs, targets))
    keras.utils.set_random_seed(0)
    layer = kind(12, 3, groups=4, padding="same", **how)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(x, y, epochs=3, batch_size=4, verbose=0)
    return np.asarray(layer.kernel)

for data_format in ("channels_last", "channels_first"):
    expected = trained(keras.layers.Conv2D, data_format=data_format)
    for lowering in ("auto", "native", "split"):
        found = trained(GroupedConv2D, lowering=lowering, data_format=data_format)
        np.testing.assert_allclose(found, expected, atol=1e-5)
measured = jax_lowering.fastest.cache_info()
assert measured.misses == 2, measured
for form in ("batched", "dense"):
    jax_lowering.fastest = lambda *layer: form
    for data_format in ("channels_last", "channels_first"):
        expected = trained(keras.layers.Conv2D, data_format=data_format)
        found = trained(GroupedConv2D, data_format=data_format)
        np.testing.assert_allclose(found, expected, atol=1e-5)
print("done")
""",
        KERAS_BACKEND="jax",
    )
    assert printed.split()[-1] == "done"
