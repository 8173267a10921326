"""AlexNet with filter groups, for ImageNet (Deep Roots, Figure 2)."""

import keras

from keras_roots.layers import LocalResponseNormalization
from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped

FAMILY = builder.Family("root_alexnet", "imagenet", size=227, min_size=67, classes=1000)

# Convolution: filters, kernel size, stride, padding, whether a pool follows, and
# whether normalisation does.
STAGES = {
    "conv1": (96, 11, 4, "valid", True, True),
    "conv2": (256, 5, 1, "same", True, True),
    "conv3": (384, 3, 1, "same", False, False),
    "conv4": (384, 3, 1, "same", False, False),
    "conv5": (256, 3, 1, "same", True, False),
}

# conv3 sees all channels of conv2, and the dense layers all of conv5.
GROUPED = (
    Grouped("conv2", 0, 96, 256),
    Grouped("conv4", 1, 384, 384),
    Grouped("conv5", 2, 384, 256),
)


@register(FAMILY.name, GROUPED)
@builder.documented(FAMILY, ("conv2", "conv4", "conv5"))
def RootAlexNet(
    root=2,
    topology="column",
    weights=None,
    include_top=True,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    include_preprocessing=True,
    name=None,
) -> keras.Model:
    """AlexNet with filter groups; its own two by default.

    Krizhevsky et al. (2012) as in Caffe, where pooling comes before normalisation.
    Ioannou et al., Deep Roots (CVPR 2017), Figure 2, counts it with 1, 2 and 4 groups.

    The output of convolution `k` is `conv{k}_relu`; `fc6` and `fc7` are the dense
    layers before the classifier.
    """
    return builder.build_model(FAMILY, _features, _classifier, **locals())


def preprocess_input(x):
    """Normalises pixels 0 to 255 for `include_preprocessing=False`."""
    return builder.preprocess_input(x, FAMILY.dataset)


def decode_predictions(preds, top=5):
    """Names the `top` classes, as `keras.applications` does: (id, name, score)."""
    return predictions.decode_predictions(preds, FAMILY.dataset, top)


def _features(x, groups):
    groups_of = {layer.name: groups[layer.stage] for layer in GROUPED}
    for name, (filters, size, stride, padding, pooled, normalised) in STAGES.items():
        x = builder.conv(
            filters,
            size,
            groups_of.get(name, 1),
            strides=stride,
            padding=padding,
            name=name,
        )(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        if pooled:
            x = keras.layers.MaxPooling2D(3, 2, name=f"{name}_pool")(x)
        if normalised:
            x = LocalResponseNormalization(5, 1e-4, name=f"{name}_norm")(x)
    return x


def _classifier(x, classes, activation):
    x = keras.layers.Flatten(name="flatten")(x)
    for name in ("fc6", "fc7"):
        x = keras.layers.Dense(
            4096, activation="relu", kernel_initializer="he_normal", name=name
        )(x)
        x = keras.layers.Dropout(0.5, name=f"{name}_dropout")(x)
    return keras.layers.Dense(classes, activation=activation, name="predictions")(x)
