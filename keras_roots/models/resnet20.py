"""ResNet-20 for CIFAR-10, which may take filter groups (Force Regularization)."""

import keras

from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped

FAMILY = builder.Family("root_resnet20", "cifar10", size=32, min_size=4, classes=10)

# Stage: blocks, filters, stride of the first block.
STAGES = {
    "conv2": (3, 16, 1),
    "conv3": (3, 32, 2),
    "conv4": (3, 64, 2),
}

# Both 3x3s of every block take groups. A stage's first one widens what it gets.
GROUPED = tuple(
    Grouped(
        f"{stage}_block{block}_{part}_conv",
        index,
        filters // stride if (block, part) == (1, 1) else filters,
        filters,
    )
    for index, (stage, (blocks, filters, stride)) in enumerate(STAGES.items())
    for block in range(1, blocks + 1)
    for part in (1, 2)
)


@register(FAMILY.name, GROUPED)
@builder.documented(FAMILY, tuple(STAGES))
def RootResNet20(
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
    """CIFAR ResNet-20, dense or with filter groups.

    He et al. (2015), section 4.2, as trained by Wen et al., Force Regularization (ICCV
    2017), Table 1: shortcuts that change the shape are 1x1 convolutions without bias
    or BatchNorm.

    Each convolution with groups is followed by a 1x1 that mixes them. The output of
    block `b` of stage `s` is `conv{s}_block{b}_out`, its 3x3 convolutions are
    `conv{s}_block{b}_1_conv` and `conv{s}_block{b}_2_conv`.
    """
    return builder.build_model(FAMILY, _features, _classifier, **locals())


def preprocess_input(x):
    """Normalises pixels 0 to 255 for `include_preprocessing=False`."""
    return builder.preprocess_input(x, FAMILY.dataset)


def decode_predictions(preds, top=5):
    """Names the `top` classes, as `keras.applications` does: (id, name, score)."""
    return predictions.decode_predictions(preds, FAMILY.dataset, top)


def _features(x, groups):
    x = _conv(x, 16, 3, "conv1_conv")
    x = _bn_relu(x, "conv1")
    for count, (stage, (blocks, filters, stride)) in zip(
        groups, STAGES.items(), strict=True
    ):
        for block in range(1, blocks + 1):
            x = _block(
                x,
                filters,
                count,
                stride=stride if block == 1 else 1,
                name=f"{stage}_block{block}",
            )
    return x


def _block(x, filters, groups, *, stride, name):
    shortcut = x
    if stride > 1:
        shortcut = _conv(x, filters, 1, f"{name}_0_conv", strides=stride)
    x = _spatial(x, filters, groups, f"{name}_1", strides=stride)
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _spatial(x, filters, groups, f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _spatial(x, filters, groups, name, **kwargs):
    """A 3x3 convolution, or a root module: one with groups and a 1x1 to mix them."""
    x = _conv(x, filters, 3, f"{name}_conv", groups=groups, **kwargs)
    if groups > 1:
        x = _bn_relu(x, f"{name}_grouped")
        x = _conv(x, filters, 1, f"{name}_mix_conv")
    return builder.batch_norm(f"{name}_bn")(x)


def _conv(x, filters, kernel_size, name, **kwargs):
    return builder.conv(filters, kernel_size, use_bias=False, name=name, **kwargs)(x)


def _bn_relu(x, name):
    x = builder.batch_norm(f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _classifier(x, classes, activation):
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.layers.Dense(classes, activation=activation, name="predictions")(x)
