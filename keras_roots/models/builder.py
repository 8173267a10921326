"""The parts that model families share: arguments, input, normalisation, weights."""

import dataclasses
import inspect
from collections.abc import Callable, Sequence

import keras

from keras_roots.layers import GroupedConv2D
from keras_roots.models import weights as weight_files
from keras_roots.models.name import NetworkName
from keras_roots.models.registry import grouped_layers
from keras_roots.models.topology import assign_groups
from keras_roots.utils import checks

# Per-channel mean and standard deviation of the training images, pixels 0 to 255.
NORMALIZATION = {
    "cifar10": ((125.307, 122.950, 113.865), (62.993, 62.089, 66.705)),
    "imagenet": ((123.675, 116.280, 103.530), (58.395, 57.120, 57.375)),
    # Caffe subtracts the mean only; its ConvNet's rates and initial weights need that.
    "cifar10_mean": ((125.307, 122.950, 113.865), (1.0, 1.0, 1.0)),
}


@dataclasses.dataclass(frozen=True)
class Family:
    """What the constructors of one architecture have in common.

    Attributes:
        name: Registry name, for instance `"root_nin"`.
        dataset: The paper's data set: a key of `NORMALIZATION`.
        size: Default height and width of the input, in pixels.
        min_size: Smallest height and width that the network accepts.
        classes: Classes of that data set.
    """

    name: str
    dataset: str
    size: int
    min_size: int
    classes: int


_ARGUMENTS = """

Args:
    root: Filter groups of {first} (1 is the dense network), or a tuple: the groups of
        {stages}.
    topology: How groups go on from stage to stage: `"root"` halves them, `"column"`
        keeps them, `"tree"` doubles them.
    weights: `None` (random initialisation), the name of a data set with released
        weights or the path of a weights file. Where those are of other classes, the
        classifier is new and random, and a warning says so.
    include_top: Whether to include the classifier.
    input_tensor: Optional Keras tensor to use as the images.
    input_shape: Shape of one image, `({size}, {size}, 3)` by default; sides of at least
        {min_size} pixels.
    pooling: For `include_top=False`: `None` for the last feature map, `"avg"` or
        `"max"` for its global average or maximum.
    classes: Number of classes.
    classifier_activation: Activation of the classifier; `None` returns logits.
    include_preprocessing: Whether the model normalises its input itself and takes
        pixels 0 to 255; if not, use the family's `preprocess_input`.
    name: Name of the model.

Returns:
    A `keras.Model` from images `(batch, {size}, {size}, 3)` to class probabilities
    `(batch, classes)`.

Raises:
    ValueError: An argument is impossible; the message says what would work.
"""


def documented(family: Family, stages: Sequence[str]) -> Callable:
    """Returns a decorator that documents the arguments that every constructor has.

    Args:
        family: The constructor's family.
        stages: Names of the stages that take groups.
    """

    def decorate(constructor):
        arguments = _ARGUMENTS.format(
            first=stages[0],
            stages=", ".join(stages),
            size=family.size,
            min_size=family.min_size,
        )
        constructor.__doc__ = inspect.cleandoc(constructor.__doc__) + arguments
        return constructor

    return decorate


def channel_axis() -> int:
    """Returns the axis of the channels in a batch of images."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def conv(filters, kernel_size, groups=1, *, padding="same", **kwargs):
    """Returns a He-initialised convolution, grouped where `groups` asks for it."""
    arguments = {"padding": padding, "kernel_initializer": "he_normal", **kwargs}
    if groups == 1:
        return keras.layers.Conv2D(filters, kernel_size, **arguments)
    return GroupedConv2D(filters, kernel_size, groups=groups, **arguments)


def batch_norm(name, **kwargs):
    """Returns a BatchNormalization over the channels of images."""
    # The moving averages follow within tens of steps, so that short runs can be judged.
    arguments = {"momentum": 0.9, "epsilon": 1e-5, **kwargs}
    return keras.layers.BatchNormalization(axis=channel_axis(), name=name, **arguments)


def preprocess_input(x, dataset="imagenet"):
    """Normalises pixels for a model built with `include_preprocessing=False`.

    Args:
        x: Images, pixels 0 to 255, channels on the axis of
            `keras.config.image_data_format()`.
        dataset: A key of `NORMALIZATION`: the family's data set.

    Returns:
        Each channel less its mean, divided by its standard deviation.
    """
    scale, offset = _scale_and_offset(dataset, x.shape[channel_axis()])
    return x * keras.ops.array(scale, "float32") + keras.ops.array(offset, "float32")


def build_model(
    family: Family,
    features: Callable,
    classifier: Callable,
    *,
    root,
    topology,
    weights,
    include_top,
    input_tensor,
    input_shape,
    pooling,
    classes,
    classifier_activation,
    include_preprocessing,
    name,
) -> keras.Model:
    """Builds a model from its feature extractor and classifier.

    Args:
        family: The registered family.
        features: Function `(images, groups)` from the normalised images and the groups
            of each stage to the last feature map.
        classifier: Function `(features, classes, activation)` to the predictions.
        root: Filter groups of the first stage, or of every stage.
        topology: How groups go on from stage to stage.
        weights: `None`, the name of a data set with released weights, or a path.
        include_top: Whether to add the classifier.
        input_tensor: Optional Keras tensor to use as the images.
        input_shape: Optional shape of one image.
        pooling: `None`, `"avg"` or `"max"`, for `include_top=False`.
        classes: Number of classes.
        classifier_activation: Activation of the classifier, `None` for logits.
        include_preprocessing: Whether the model normalises pixels 0 to 255 itself.
        name: Model name, `None` for one made from the arguments.

    Raises:
        ValueError: An argument is impossible; the message says what would work.
    """
    groups = assign_groups(root, grouped_layers(family.name), topology)
    checks.choice("pooling", pooling, (None, "avg", "max"))
    classes = checks.integer("classes", classes)
    checks.boolean("include_top", include_top)
    if include_top:
        checks.unused("pooling", pooling, "include_top=False")
    checks.boolean("include_preprocessing", include_preprocessing)
    _check_activation(classifier_activation)
    if name is not None:
        checks.text("name", name, empty=False)
    network = NetworkName(family.name, root, topology)
    path = weight_files.find(network, weights)
    if path is not None and include_top:
        _check_activation_of_weights(classifier_activation)
    images = _images(family, input_tensor, input_shape, include_top, weights)
    x = _normalise(images, family.dataset) if include_preprocessing else images
    x = features(x, groups)
    if include_top:
        x = classifier(x, classes, classifier_activation)
    elif pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="max_pool")(x)
    inputs = images if input_tensor is None else keras.utils.get_source_inputs(images)
    model = keras.Model(inputs, x, name=name or network.model_name)
    if path is not None:
        weight_files.load(model, path, include_top)
    return model


def _check_activation(activation):
    checks.of_keras(
        "classifier_activation", activation, keras.activations.get, "an activation"
    )


def _check_activation_of_weights(activation):
    if keras.activations.get(activation) not in (
        keras.activations.softmax,
        keras.activations.linear,
    ):
        raise ValueError(
            "Only `None` and `softmax` activations are allowed for the "
            "`classifier_activation` argument when using pretrained weights, with "
            f"`include_top=True`. Received: classifier_activation={activation}"
        )


def _images(family, input_tensor, input_shape, include_top, weights):
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor):
            input_tensor = keras.Input(tensor=input_tensor)
        if input_shape is not None and tuple(input_shape) != input_tensor.shape[1:]:
            raise ValueError(
                "`input_shape` must be the shape of `input_tensor` or None. Received: "
                f"input_shape={input_shape}, input_tensor of shape {input_tensor.shape}"
            )
        _check_shape(family, input_tensor.shape[1:], include_top, weights)
        return input_tensor
    if input_shape is None:
        size = family.size if include_top else None
        channels_last = channel_axis() == -1
        input_shape = (size, size, 3) if channels_last else (3, size, size)
    _check_shape(family, input_shape, include_top, weights)
    return keras.Input(shape=tuple(input_shape))


def _check_shape(family, input_shape, include_top, weights):
    if not isinstance(input_shape, Sequence) or len(input_shape) != 3:
        raise ValueError(
            "`input_shape` must be a tuple of three integers: height, width, channels "
            "(channels first if `keras.config.image_data_format()` says so). "
            f"Received: input_shape={input_shape}"
        )
    sides = list(input_shape)
    channels = sides.pop(channel_axis() if channel_axis() == -1 else 0)
    if channels is None or channels < 1:
        raise ValueError(
            f"`input_shape` must give the number of channels. "
            f"Received: input_shape={input_shape}"
        )
    if weights is not None and channels != 3:
        raise ValueError(
            f"The input must have 3 channels to load weights. Received: "
            f"weights={weights!r}, input_shape={input_shape}"
        )
    if any(side is not None and side < family.min_size for side in sides):
        raise ValueError(
            f"Input size must be at least {family.min_size}x{family.min_size}. "
            f"Received: input_shape={input_shape}"
        )
    if include_top and None in sides:
        raise ValueError(
            "If `include_top` is True, you should specify a static `input_shape`. "
            f"Received: input_shape={input_shape}"
        )


def _scale_and_offset(dataset, channels):
    checks.choice("dataset", dataset, sorted(NORMALIZATION))
    mean, std = NORMALIZATION[dataset]
    if channels != len(mean):
        mean, std = ([sum(values) / len(values)] * channels for values in (mean, std))
    scale = [1 / value for value in std]
    offset = [-m * s for m, s in zip(mean, scale, strict=True)]
    if channel_axis() == -1:
        return scale, offset
    # Rescaling itself would put the scale, but not the offset, on the channel axis.
    return [[[value]] for value in scale], [[[value]] for value in offset]


def _normalise(images, dataset):
    scale, offset = _scale_and_offset(dataset, images.shape[channel_axis()])
    return keras.layers.Rescaling(scale, offset, name="normalization")(images)
