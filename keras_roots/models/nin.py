"""Network in Network with filter groups, for CIFAR-10 (Deep Roots, Tables 1 and 2)."""

import keras

from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped

FAMILY = builder.Family("root_nin", "cifar10", size=32, min_size=4, classes=10)

# Stage: (filters, kernel size) of its three convolutions, and the pool before it.
# The last 1x1 of the last stage is the classifier.
STAGES = {
    "conv1": (((192, 5), (160, 1), (96, 1)), None),
    "conv2": (((192, 5), (192, 1), (192, 1)), keras.layers.MaxPooling2D),
    "conv3": (((192, 3), (192, 1)), keras.layers.AveragePooling2D),
}

# The spatial convolutions of conv2 and conv3 take groups; 1x1s mix them again.
GROUPED = (Grouped("conv2a", 0, 96, 192), Grouped("conv3a", 1, 192, 192))


@register(FAMILY.name, GROUPED)
@builder.documented(FAMILY, ("conv2", "conv3"))
def RootNiN(
    root=8,
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
    """Network in Network with filter groups.

    Ioannou et al., Deep Roots (CVPR 2017), Tables 1 and 2: root-8 is as accurate on
    CIFAR-10 as the dense network, `root=1`, at 46 % of its multiply-adds.

    Features are reachable by layer name: the outputs of stage `k` are `conv{k}a_relu`,
    `conv{k}b_relu`, `conv{k}c_relu`.
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
    for stage, (convolutions, pool) in STAGES.items():
        if pool is not None:
            x = pool(3, 2, padding="same", name=f"{stage}_pool")(x)
        for letter, (filters, kernel_size) in zip("abc", convolutions, strict=False):
            name = stage + letter
            x = builder.conv(filters, kernel_size, groups_of.get(name, 1), name=name)(x)
            x = builder.batch_norm(f"{name}_bn")(x)
            x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return x


def _classifier(x, classes, activation):
    x = builder.conv(classes, 1, name="conv3c")(x)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.layers.Activation(activation, name="predictions")(x)
