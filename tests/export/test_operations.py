import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots.export import flatbuffer
from keras_roots.export.operations import read_operations
from keras_roots.layers.grouped_conv2d import GroupedConv2D

HEIGHT, WIDTH, CHANNELS = 9, 7, 8


def _read(*stack, quantize=None, **arguments):
    """Returns the operations of a stack of layers, exported."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((HEIGHT, WIDTH, CHANNELS)), *stack])
    for variable in model.weights:
        if variable.path.endswith("bias"):  # the converter may drop zeros
            variable.assign(np.linspace(0.1, 0.2, variable.shape[0]))
    images = np.random.default_rng(0).normal(size=(4, HEIGHT, WIDTH, CHANNELS))
    return read_operations(
        flatbuffer.convert(
            model, quantize=quantize, calibration_images=images, **arguments
        )
    )


# Layers: operation, kind, kernel shape, output shape, groups, weights, positions that
# they are applied to, biases.
WEIGHTED = {
    "dense": (
        lambda: [layers.Conv2D(12, 3, name="layer")],
        ("CONV_2D", "CONV_2D 3x3", (12, 3, 3, 8), (1, 7, 5, 12), 1),
        (12 * 3 * 3 * 8, 7 * 5, 12),
    ),
    "grouped": (
        lambda: [GroupedConv2D(12, 3, groups=4, padding="same", name="layer")],
        ("CONV_2D", "CONV_2D 3x3 grouped", (12, 3, 3, 2), (1, 9, 7, 12), 4),
        (12 * 3 * 3 * 2, 9 * 7, 12),
    ),
    "one channel per group": (
        lambda: [GroupedConv2D(16, 5, groups=8, padding="same", name="layer")],
        ("CONV_2D", "CONV_2D 5x5 grouped", (16, 5, 5, 1), (1, 9, 7, 16), 8),
        (16 * 5 * 5, 9 * 7, 16),
    ),
    "depthwise": (
        lambda: [layers.DepthwiseConv2D(3, name="layer")],
        ("DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D 3x3", (1, 3, 3, 8), (1, 7, 5, 8), 8),
        (3 * 3 * 8, 7 * 5, 8),
    ),
    "strided": (
        lambda: [layers.Conv2D(12, 3, strides=2, padding="same", name="layer")],
        ("CONV_2D", "CONV_2D 3x3/2", (12, 3, 3, 8), (1, 5, 4, 12), 1),
        (12 * 3 * 3 * 8, 5 * 4, 12),
    ),
    "strided 1x1": (
        lambda: [layers.Conv2D(6, 1, strides=2, name="layer")],
        ("CONV_2D", "CONV_2D 1x1/2", (6, 1, 1, 8), (1, 5, 4, 6), 1),
        (6 * 8, 5 * 4, 6),
    ),
    "fully connected": (
        lambda: [layers.Flatten(), layers.Dense(10, name="layer")],
        ("FULLY_CONNECTED", "FULLY_CONNECTED", (10, 504), (1, 10), 1),
        (10 * 504, 1, 10),
    ),
}


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("case", WEIGHTED)
def test_shapes_multiply_adds_and_bytes(case, quantize):
    make, shapes, (weights, positions, biases) = WEIGHTED[case]
    operations = _read(*make(), quantize=quantize)
    (found,) = [operation for operation in operations if operation.macs]
    assert found.layer == "layer"
    assert shapes == (
        found.name,
        found.kind,
        found.kernel_shape,
        found.output_shape,
        found.groups,
    )
    assert found.macs == weights * positions + biases
    width = 4 if quantize is None else 1
    assert found.weight_bytes == width * weights + 4 * biases
    ends = ["QUANTIZE", "DEQUANTIZE"] if quantize else []
    assert [each.name for each in operations if "QUANTIZE" in each.name] == ends


def test_transposed_weights_are_applied_where_the_input_is():
    operations = _read(layers.Conv2DTranspose(4, 3, strides=2, use_bias=False))
    (found,) = [each for each in operations if each.name == "TRANSPOSE_CONV"]
    assert found.input_shape == (1, HEIGHT, WIDTH, CHANNELS)
    assert found.output_shape == (1, 19, 15, 4)
    assert found.macs == 3 * 3 * 8 * 4 * 9 * 7
    assert found.kind == "TRANSPOSE_CONV 3x3/2"


def test_all_images_of_a_call_count_and_biases_once():
    stack = [layers.Conv2D(12, 3), layers.Flatten(), layers.Dense(10)]
    operations = _read(*stack, batch_size=3)
    convolution, dense = (each for each in operations if each.macs)
    assert convolution.macs == 3 * 12 * 72 * 35 + 12
    assert dense.macs == 3 * 10 * 420 + 10
    assert convolution.input_shape == (3, HEIGHT, WIDTH, CHANNELS)


def test_a_network_has_the_papers_count():
    """Deep Roots, Table 1: every convolution has a bias, and so has the file."""
    model = keras_roots.RootNiN(root=8)
    found = read_operations(flatbuffer.convert(model))
    assert sum(operation.macs for operation in found) == 103_343_498
    assert [each.groups for each in found if each.groups > 1] == [8, 4]


def test_layers_go_by_their_weights():
    operations = _read(
        layers.Conv2D(8, 3, padding="same", use_bias=False, name="first_1"),
        layers.BatchNormalization(name="bn"),
        layers.ReLU(name="relu"),
        layers.MaxPooling2D(name="pool"),
        GroupedConv2D(8, 3, groups=2, activation="relu", name="second"),
        layers.Flatten(name="flat"),
        layers.Dense(3, activation="softmax", name="scores"),
    )
    assert [(each.name, each.layer) for each in operations] == [
        ("CONV_2D", "first_1"),
        ("MAX_POOL_2D", "pool"),
        ("CONV_2D", "second"),
        ("RESHAPE", "flat"),
        ("FULLY_CONNECTED", "scores"),
        ("SOFTMAX", ""),
    ]


def test_sources_are_the_operations_that_come_before():
    inputs = keras.Input((8, 8, 4))
    left = layers.Conv2D(4, 3, padding="same", name="left")(inputs)
    right = layers.MaxPooling2D(3, 1, "same", name="right")(inputs)
    joined = layers.Concatenate(name="joined")([left, right])
    model = keras.Model(inputs, layers.Conv2D(4, 1, name="last")(joined))
    operations = read_operations(flatbuffer.convert(model))
    by_layer = {each.layer: position for position, each in enumerate(operations)}
    sources = {each.layer: each.sources for each in operations}
    assert sources["left"] == sources["right"] == ()
    both = sorted([by_layer["left"], by_layer["right"]])
    assert sources["joined"] == tuple(both)
    assert sources["last"] == (by_layer["joined"],)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.tflite"):
        read_operations(tmp_path / "missing.tflite")
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"no network, and longer than a flatbuffer's header")
    with pytest.raises(ValueError, match="`file` must be a LiteRT file.*broken"):
        read_operations(path)
    with pytest.raises(ValueError, match="`file` must be a LiteRT file.*0 bytes"):
        read_operations(b"")


def test_a_file_that_is_cut_short(network):
    content = flatbuffer.convert(network())
    assert read_operations(content)
    with pytest.raises(ValueError, match="`file` must be a LiteRT file"):
        read_operations(content[: len(content) // 2])


def test_a_missing_runtime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_roots\[litert\]'"):
        read_operations(b"")
