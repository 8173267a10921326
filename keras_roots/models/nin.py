"""Network in Network with filter groups, for CIFAR-10 (Deep Roots, Tables 1 and 2).

Beside it the same network with fewer filters, for comparison at equal cost.
"""

import keras

from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped

FAMILIES = {
    name: builder.Family(name, "cifar10", size=32, min_size=4, classes=10)
    for name in ("root_nin", "root_nin_thin")
}
NIN, THIN = FAMILIES.values()

# Filters of the convolutions of each stage. The last 1x1 of the last stage is the
# classifier.
FILTERS = {
    "root_nin": ((192, 160, 96), (192, 192, 192), (192, 192)),
    "root_nin_thin": ((128, 112, 64), (128, 128, 128), (128, 128)),
}
# Stage: kernel size of its first convolution, the others being 1x1s, and the pool
# before it.
STAGES = {
    "conv1": (5, None),
    "conv2": (5, keras.layers.MaxPooling2D),
    "conv3": (3, keras.layers.AveragePooling2D),
}

# The spatial convolutions of conv2 and conv3 take groups; 1x1s mix them again.
GROUPED = {
    name: (
        Grouped("conv2a", 0, first[-1], second[0]),
        Grouped("conv3a", 1, second[-1], third[0]),
    )
    for name, (first, second, third) in FILTERS.items()
}


@register("root_nin", GROUPED["root_nin"])
@builder.documented(NIN, ("conv2", "conv3"))
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
    return builder.build_model(NIN, _nin, _classifier, **locals())


@register("root_nin_thin", GROUPED["root_nin_thin"])
@builder.documented(THIN, ("conv2", "conv3"))
def RootNiNThin(
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
    """Network in Network with fewer filters.

    Dense, it has the multiply-adds of `RootNiN(root=8)`, 103 million, and about its
    latency: what filter groups have to be held against. Layers are named as in
    `RootNiN`.
    """
    return builder.build_model(THIN, _thin, _classifier, **locals())


def preprocess_input(x):
    """Normalises pixels 0 to 255 for `include_preprocessing=False`."""
    return builder.preprocess_input(x, NIN.dataset)


def decode_predictions(preds, top=5):
    """Names the `top` classes, as `keras.applications` does: (id, name, score)."""
    return predictions.decode_predictions(preds, NIN.dataset, top)


def _nin(x, groups):
    return _stages(x, groups, "root_nin")


def _thin(x, groups):
    return _stages(x, groups, "root_nin_thin")


def _stages(x, groups, name):
    groups_of = {layer.name: groups[layer.stage] for layer in GROUPED[name]}
    for filters, (stage, (size, pool)) in zip(
        FILTERS[name], STAGES.items(), strict=True
    ):
        if pool is not None:
            x = pool(3, 2, padding="same", name=f"{stage}_pool")(x)
        for letter, count in zip("abc", filters, strict=False):
            layer = stage + letter
            kernel_size = size if letter == "a" else 1
            x = builder.conv(count, kernel_size, groups_of.get(layer, 1), name=layer)(x)
            x = builder.batch_norm(f"{layer}_bn")(x)
            x = keras.layers.ReLU(name=f"{layer}_relu")(x)
    return x


def _classifier(x, classes, activation):
    x = builder.conv(classes, 1, name="conv3c")(x)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.layers.Activation(activation, name="predictions")(x)
