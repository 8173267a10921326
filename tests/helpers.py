"""What tests of several modules share: tiny networks, layers and kernels."""

import csv
import json
import types

import keras
import numpy as np
from keras import layers

from keras_roots.graph import channel_spaces
from keras_roots.layers import GroupedConv2D


def conv(filters, kernel_size, groups=1, **kwargs):
    """A convolution whose biases are not zero."""
    kwargs = {"bias_initializer": "normal", **kwargs}
    if groups == 1:
        return layers.Conv2D(filters, kernel_size, **kwargs)
    return GroupedConv2D(filters, kernel_size, groups=groups, **kwargs)


def one_layer(layer, kernel=None, shape=(12, 12, 6)):
    """A network of one layer, with a kernel if one is given."""
    model = keras.Sequential([keras.Input(shape), layer])
    if kernel is not None:
        layer.set_weights([kernel, *layer.get_weights()[1:]])
    return model


def kernel_of(singular_values, shape, seed=0):
    """A kernel whose groups' matrices have these singular values, group by group."""
    rng = np.random.default_rng(seed)
    groups = []
    for values in singular_values:
        left = np.linalg.qr(rng.normal(size=(np.prod(shape[:3]), len(values))))[0]
        filters = shape[3] // len(singular_values)
        right = np.linalg.qr(rng.normal(size=(filters, len(values))))[0]
        groups.append(left * values @ right.T)
    return np.concatenate(groups, axis=1).reshape(shape)


def pixels(count, side, seed=1):
    """Random images of pixels from 0 to 255."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 255, (count, side, side, 3)).astype("float32")


def assert_same_outputs(model, other, images):
    """Compares the outputs of two models, which must differ from image to image."""
    expected = keras.tree.flatten(model(images, training=False))
    found = keras.tree.flatten(other(images, training=False))
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        assert np.ptp(theirs) > 1e-3
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


def assign_random(model, seed=0):
    """Gives a model weights, biases and statistics that all matter; returns it."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith(("variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith("kernel"):
            fan_in = np.prod(weight.shape[:-1])
            weight.assign(rng.normal(0, fan_in**-0.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def colours(path, train=40, test=12, side=8):
    """Writes an `.npz` data set whose three classes differ in their colour."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", train), ("test", test)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 100, (count, side, side, 3))
        images[np.arange(count), :, :, labels] += 150
        arrays |= {f"x_{split}": images.astype("uint8"), f"y_{split}": labels}
    np.savez(path, **arrays)
    return str(path)


def read_rows(path):
    """The rows of a table in a `.csv` file, as dictionaries of texts."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def noise(count=24, side=8, classes=3):
    """A data set in memory of random images, the same for all splits."""
    from keras_roots.training.data import Arrays, Dataset

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side, 3)).astype("uint8")
    split = Arrays(images, np.arange(count) % classes)
    names = tuple("abcdefghij"[:classes])
    return Dataset("noise", names, split, split, split, side)


def convolutions():
    """A classifier of 8x8 images with two spatial convolutions and two 1x1s."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 128, -1),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="first"),
            layers.Conv2D(16, 1, activation="relu", name="wide"),
            layers.Conv2D(8, 3, padding="same", name="spatial"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(16, 1, name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def scores():
    """A classifier of two classes of 4x4 images, with biases of zero."""
    return keras.Sequential(
        [keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2, name="scores")]
    )


def write_runs(folder, table, changes):
    """Results as if rows had been run: top-1 falls by .01 from row to row."""
    for index, row in enumerate(table.rows):
        for number, stage in enumerate(row.stages):
            own = folder / row.name / stage.name
            own.mkdir(parents=True)
            top1 = 0.9 - 0.01 * index - 0.1 * (number == 0)
            result = {"top1": top1, "macs": 1000 + index, "params": 10, "images": 100}
            result |= changes.get(stage.name, {})
            (own / "result.json").write_text(json.dumps(result))


def shared_by_two_models(layer, shape=(9, 9, 4)):
    """A network of two models that share a layer, and a 1x1 behind them."""
    x = inputs = keras.Input(shape)
    for name in ("one", "other"):
        own = keras.Input(shape)
        x = keras.Model(own, layer(own), name=name)(x)
    return keras.Model(inputs, layers.Conv2D(3, 1, name="last")(x))


class Subclassed(keras.Model):
    """A model without a graph."""

    def call(self, inputs):
        return inputs


def random_images(model, count=2):
    """Images for the first input of a model."""
    shape = (count, *model.inputs[0].shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def between(*stack, reader=None, **kwargs):
    """A network from convolution "a", 6 filters, through a stack to a reader "b"."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="a", **kwargs)(inputs)
    for layer in stack:
        x = layer(x)
    reader = reader or layers.Conv2D(4, 1, name="b")
    return keras.Model(inputs, reader(x))


def branches(join, first=6, second=6):
    """A network with convolutions "a" and "b", joined by a function, and "c"."""
    inputs = keras.Input((8, 8, 3))
    a = layers.Conv2D(first, 3, name="a")(inputs)
    b = layers.Conv2D(second, 3, name="b")(inputs)
    return keras.Model(inputs, layers.Conv2D(4, 1, name="c")(join(a, b)))


def outputs_of(model, *names):
    """The spaces of a model's channels, and those of the outputs of some layers."""
    spaces = channel_spaces(model)
    return spaces, *(spaces.output(model.get_layer(name)) for name in names)


def grouped(name="network"):
    """A network of one convolution with four groups of images 8x8x16, flattened."""
    layer = conv(16, 3, groups=4, name="grouped")
    return keras.Sequential(
        [keras.Input((8, 8, 16)), layer, layers.Flatten()], name=name
    )


def chain(*convolutions, side=16):
    """A network of layers in a row, for colour images."""
    return keras.Sequential([keras.Input((side, side, 3)), *convolutions])


def same_conv(filters, kernel_size, name, **kwargs):
    """A padded convolution with a name."""
    kwargs = {"padding": "same", **kwargs}
    return layers.Conv2D(filters, kernel_size, name=name, **kwargs)


def randomise(model):
    """Gives weights that start with one value for all channels random ones.

    Their order, and constants that go through them, could not be seen otherwise.
    """
    spread = {
        "bias": (0.0, 1.0),
        "beta": (0.0, 1.0),
        "gamma": (1.0, 0.3),
        "moving_mean": (0.0, 0.3),
        "alpha": (0.0, 1.0),
    }
    rng = np.random.default_rng(1)
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.Model):
            continue
        for weight in layer.weights:
            if weight.name in spread:
                weight.assign(rng.normal(*spread[weight.name], weight.shape))
            elif weight.name == "moving_variance":
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))


def made_up_machine(monkeypatch):
    """Makes measured times those of a machine where time is multiply-adds.

    int8 takes half; whole networks take a tenth more, for what is no convolution; files
    take 1, 2, 3 ... milliseconds in the order that they are given.
    """
    from keras_roots import benchmarking, profile
    from keras_roots.benchmarking import comparison, latency_table

    factor = {None: 1.0, "int8": 0.5}

    def compare(cases, **kwargs):
        times = [
            1.1 * factor[case.quantize] * profile(case.target).macs
            if isinstance(case.target, keras.Model)
            else 1.0 + index
            for index, case in enumerate(cases.values())
        ]
        return [
            types.SimpleNamespace(p10_ms=time, median_ms=time, ratio=time / times[0])
            for time in times
        ]

    def measure(chains, quantize, threads, runs):
        return [
            factor[quantize] * sum(part.cost.macs for part in chain) for chain in chains
        ]

    monkeypatch.setattr(benchmarking, "compare", compare)
    monkeypatch.setattr(comparison, "compare", compare)
    monkeypatch.setattr(latency_table, "measure_chains", measure)


def knows_colours(count=120):
    """A classifier of 8x8 images that knows their three colours, and such images."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = rng.integers(0, 100, (count, 8, 8, 3)).astype("float32")
    images[np.arange(count), :, :, labels] += 150
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    for index in range(3):
        x = layers.Conv2D(16, 3, padding="same", name=f"conv{index}")(x)
        x = layers.BatchNormalization(momentum=0.5, name=f"norm{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.Conv2D(16, 1, name="mix")(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(3, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, outputs, name="small")
    keras.utils.set_random_seed(0)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, labels, batch_size=20, epochs=12, verbose=0)
    return model, images


def write_times(path, rows):
    """Writes a table of measured times: rows of dtype, threads, chain, milliseconds."""
    from keras_roots.convolutions import TIME_COLUMNS

    lines = [",".join(TIME_COLUMNS)]
    for dtype, threads, chain, ms in rows:
        text = "; ".join(map(str, chain))
        lines.append(f'{dtype},{threads},"{text}",{ms},CPU,versions')
    path.write_text("\n".join(lines) + "\n")
    return path


def square_convolution(kernel, side, channels, filters, groups=1):
    """Describes a convolution with stride 1 and bias of a square map."""
    from keras_roots.convolutions import Convolution

    shape = (kernel, kernel, channels, filters)
    dense = Convolution(shape, 1, (1, 1), "same", (1, 1), True, ((side, side),))
    return dense.with_groups(groups)


def spatial_pair(seed=0):
    """A classifier of 8x8 images: two spatial convolutions between two 1x1s."""
    parts = [keras.Input((8, 8, 3)), layers.Conv2D(16, 1, name="point")]
    for index in range(2):
        parts += [
            layers.Conv2D(16, 3, padding="same", name=f"conv{index}"),
            layers.BatchNormalization(name=f"norm{index}"),
            layers.ReLU(),
        ]
    parts += [
        layers.Conv2D(16, 1, name="after"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(4, activation="softmax"),
    ]
    model = keras.Sequential(parts, name="small")
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return model


def normal_images(count=40, seed=1):
    """Images of 8x8 random numbers."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 8, 8, 3)).astype("float32")
