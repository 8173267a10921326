"""Caffe's ConvNet for CIFAR-10, which may take filter groups (Force Regularization)."""

import keras

from keras_roots.layers import LocalResponseNormalization
from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped

FAMILY = builder.Family("root_convnet", "cifar10_mean", size=32, min_size=4, classes=10)

# Convolution: filters, deviation of its initial weights, the pool after it, whether
# normalisation follows. All are 5x5, pools are 3x3 with stride 2.
STAGES = {
    "conv1": (32, 0.0001, keras.layers.MaxPooling2D, True),
    "conv2": (32, 0.01, keras.layers.AveragePooling2D, True),
    "conv3": (64, 0.01, keras.layers.AveragePooling2D, False),
}

GROUPED = (Grouped("conv2", 0, 32, 32), Grouped("conv3", 1, 32, 64))


@register(FAMILY.name, GROUPED)
@builder.documented(FAMILY, ("conv2", "conv3"))
def RootConvNet(
    root=1,
    topology="root",
    weights=None,
    include_top=True,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=10,
    classifier_activation="softmax",
    include_preprocessing=True,
    name=None,
) -> keras.Model:
    """Caffe's `cifar10_full` network, dense or with filter groups.

    The ConvNet of Wen et al., Force Regularization (ICCV 2017), Table 1. Its input is
    not divided by the deviation of the pixels, which its learning rate of 0.001 and its
    initial weights presuppose; at rates for normalised input it diverges.

    Each convolution with groups is followed by a 1x1 that mixes them. The output of
    convolution `k` is `conv{k}_relu`, and after pooling and normalisation
    `conv{k}_norm`.
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
    for name, (filters, deviation, pool, normalised) in STAGES.items():
        count = groups_of.get(name, 1)
        x = builder.conv(
            filters, 5, count, kernel_initializer=_normal(deviation), name=name
        )(x)
        if count > 1:
            x = keras.layers.ReLU(name=f"{name}_grouped_relu")(x)
            x = builder.conv(filters, 1, name=f"{name}_mix")(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        x = pool(3, 2, padding="same", name=f"{name}_pool")(x)
        if normalised:
            x = LocalResponseNormalization(
                3, 5e-5, "within_channel", name=f"{name}_norm"
            )(x)
    return x


def _classifier(x, classes, activation):
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.layers.Dense(
        classes,
        activation=activation,
        kernel_initializer=_normal(0.01),
        name="predictions",
    )(x)


def _normal(deviation):
    return keras.initializers.RandomNormal(stddev=deviation)
