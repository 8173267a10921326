"""ResNet-50 with filter groups, for ImageNet (Deep Roots, Tables 3 and 4)."""

import keras

from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped

FAMILY = builder.Family(
    "root_resnet50", "imagenet", size=224, min_size=32, classes=1000
)

# Stage: blocks, filters of their 3x3, stride of the first block.
STAGES = {
    "conv2": (3, 64, 1),
    "conv3": (4, 128, 2),
    "conv4": (6, 256, 2),
    "conv5": (3, 512, 2),
}
EXPANSION = 4  # Output channels of a block per filter of its 3x3.

# The 3x3 of every block takes groups; the 1x1 that follows mixes them again.
GROUPED = tuple(
    Grouped(f"{stage}_block{block}_2_conv", index, filters, filters)
    for index, (stage, (blocks, filters, _)) in enumerate(STAGES.items())
    for block in range(1, blocks + 1)
)


@register(FAMILY.name, GROUPED)
@builder.documented(FAMILY, tuple(STAGES))
def RootResNet50(
    root=64,
    topology="root",
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
    """ResNet-50 with filter groups.

    Ioannou et al., Deep Roots (CVPR 2017), Tables 3 and 4: root-64 is as accurate on
    ImageNet as the dense network, `root=1`, at 55 % of its multiply-adds. The network
    of He et al. (2015): a stage's stride is in the first 1x1 of its first block.

    Layers are named as in `keras.applications.ResNet50`: the output of block `b` of
    stage `s` is `conv{s}_block{b}_out`.
    """
    return builder.build_model(FAMILY, GROUPED, _features, _classifier, **locals())


def preprocess_input(x):
    """Normalises pixels 0 to 255 for `include_preprocessing=False`."""
    return builder.preprocess_input(x, FAMILY.dataset)


def decode_predictions(preds, top=5):
    """Names the `top` classes, as `keras.applications` does: (id, name, score)."""
    return predictions.decode_predictions(preds, FAMILY.dataset, top)


def _features(x, groups):
    x = builder.conv(64, 7, strides=2, name="conv1_conv")(x)
    x = builder.batch_norm("conv1_bn")(x)
    x = keras.layers.ReLU(name="conv1_relu")(x)
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool1_pool")(x)
    for count, (stage, (blocks, filters, stride)) in zip(
        groups, STAGES.items(), strict=True
    ):
        for block in range(1, blocks + 1):
            first = block == 1
            x = _block(
                x,
                filters,
                count,
                stride=stride if first else 1,
                project=first,
                name=f"{stage}_block{block}",
            )
    return x


def _block(x, filters, groups, *, stride, project, name):
    shortcut = x
    if project:
        shortcut = _conv_bn(x, EXPANSION * filters, 1, f"{name}_0", strides=stride)
    x = _conv_bn(x, filters, 1, f"{name}_1", strides=stride)
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _conv_bn(x, filters, 3, f"{name}_2", groups=groups)
    x = keras.layers.ReLU(name=f"{name}_2_relu")(x)
    x = _conv_bn(x, EXPANSION * filters, 1, f"{name}_3")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _conv_bn(x, filters, kernel_size, name, **kwargs):
    x = builder.conv(
        filters, kernel_size, use_bias=False, name=f"{name}_conv", **kwargs
    )(x)
    return builder.batch_norm(f"{name}_bn")(x)


def _classifier(x, classes, activation):
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.layers.Dense(classes, activation=activation, name="predictions")(x)
