"""ResNet-50 and pre-activation ResNet-200 with filter groups, for ImageNet.

Deep Roots, Tables 3 to 5.
"""

import keras

from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped

FAMILIES = {
    name: builder.Family(name, "imagenet", size=224, min_size=32, classes=1000)
    for name in ("root_resnet50", "root_resnet50_thin", "root_resnet200")
}
RESNET50, THIN, RESNET200 = FAMILIES.values()

# Blocks of each stage.
BLOCKS = {
    "root_resnet50": (3, 4, 6, 3),
    "root_resnet50_thin": (3, 4, 6, 3),
    "root_resnet200": (3, 24, 36, 3),
}
# Filters of every layer over those of the papers' networks.
WIDTHS = {"root_resnet50": 1, "root_resnet50_thin": 3 / 4, "root_resnet200": 1}
# Stage: filters of the 3x3 of its blocks, stride of the first block.
STAGES = {"conv2": (64, 1), "conv3": (128, 2), "conv4": (256, 2), "conv5": (512, 2)}
EXPANSION = 4  # Output channels of a block per filter of its 3x3.

# The 3x3 of every block takes groups; the 1x1 that follows mixes them again.
GROUPED = {
    name: tuple(
        Grouped(
            f"{stage}_block{block}_2_conv", index, *2 * (int(WIDTHS[name] * filters),)
        )
        for index, (stage, (filters, _)) in enumerate(STAGES.items())
        for block in range(1, blocks[index] + 1)
    )
    for name, blocks in BLOCKS.items()
}


@register("root_resnet50", GROUPED["root_resnet50"])
@builder.documented(RESNET50, tuple(STAGES))
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
    return builder.build_model(RESNET50, _resnet50, _classifier, **locals())


@register("root_resnet50_thin", GROUPED["root_resnet50_thin"])
@builder.documented(THIN, tuple(STAGES))
def RootResNet50Thin(
    root=1,
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
    """ResNet-50 with three quarters of the filters.

    Dense, it has about the multiply-adds of `RootResNet50(root=64)`: what filter groups
    have to be held against. Layers are named as in `RootResNet50`.
    """
    return builder.build_model(THIN, _thin, _classifier, **locals())


@register("root_resnet200", GROUPED["root_resnet200"])
@builder.documented(RESNET200, tuple(STAGES))
def RootResNet200(
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
    """Pre-activation ResNet-200 with filter groups.

    Ioannou et al., Deep Roots (CVPR 2017), Table 5: root-64 is as accurate on ImageNet
    as the dense network, `root=1`, at 52 % of its multiply-adds. The network of He et
    al. (2016): BatchNorm and ReLU come before the convolutions.

    Layers are named as in `keras.applications.ResNet50V2`: the output of block `b` of
    stage `s` is `conv{s}_block{b}_out`.
    """
    return builder.build_model(RESNET200, _resnet200, _classifier, **locals())


def preprocess_input(x):
    """Normalises pixels 0 to 255 for `include_preprocessing=False`."""
    return builder.preprocess_input(x, RESNET50.dataset)


def decode_predictions(preds, top=5):
    """Names the `top` classes, as `keras.applications` does: (id, name, score)."""
    return predictions.decode_predictions(preds, RESNET50.dataset, top)


def _resnet50(x, groups):
    return _postactivated(x, groups, "root_resnet50")


def _thin(x, groups):
    return _postactivated(x, groups, "root_resnet50_thin")


def _postactivated(x, groups, name):
    x = _stem(x, int(WIDTHS[name] * 64), use_bias=True)
    return _stages(x, groups, name, _block)


def _resnet200(x, groups):
    x = _stem(x, 64, use_bias=False)
    x = _stages(x, groups, "root_resnet200", _preactivated_block)
    return _bn_relu(x, "post")


def _stem(x, filters, use_bias):
    x = _conv(x, filters, 7, "conv1", strides=2, use_bias=use_bias)
    x = _bn_relu(x, "conv1")
    return keras.layers.MaxPooling2D(3, 2, padding="same", name="pool1_pool")(x)


def _stages(x, groups, name, block):
    stages = zip(groups, BLOCKS[name], STAGES.items(), strict=True)
    for count, last, (stage, (filters, stride)) in stages:
        filters = int(WIDTHS[name] * filters)
        x = block(x, filters, count, stride, True, f"{stage}_block1")
        for index in range(2, last + 1):
            x = block(x, filters, count, 1, False, f"{stage}_block{index}")
    return x


def _block(x, filters, groups, stride, project, name):
    shortcut = x
    if project:
        shortcut = _conv_bn(x, EXPANSION * filters, 1, f"{name}_0", strides=stride)
    x = _conv(x, filters, 1, f"{name}_1", strides=stride)
    x = _bn_relu(x, f"{name}_1")
    x = _conv(x, filters, 3, f"{name}_2", groups=groups)
    x = _bn_relu(x, f"{name}_2")
    x = _conv_bn(x, EXPANSION * filters, 1, f"{name}_3")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _preactivated_block(x, filters, groups, stride, project, name):
    # The stem activates the input of the very first block.
    activated = x if name == "conv2_block1" else _bn_relu(x, f"{name}_preact")
    shortcut = x
    if project:
        shortcut = _conv(activated, EXPANSION * filters, 1, f"{name}_0", strides=stride)
    x = _conv(activated, filters, 1, f"{name}_1")
    x = _bn_relu(x, f"{name}_1")
    x = _conv(x, filters, 3, f"{name}_2", groups=groups, strides=stride)
    x = _bn_relu(x, f"{name}_2")
    x = _conv(x, EXPANSION * filters, 1, f"{name}_3")
    return keras.layers.Add(name=f"{name}_out")([shortcut, x])


def _conv(x, filters, kernel_size, name, **kwargs):
    arguments = {"use_bias": False, **kwargs}
    return builder.conv(filters, kernel_size, name=f"{name}_conv", **arguments)(x)


def _conv_bn(x, filters, kernel_size, name, **kwargs):
    x = _conv(x, filters, kernel_size, name, **kwargs)
    return builder.batch_norm(f"{name}_bn")(x)


def _bn_relu(x, name):
    x = builder.batch_norm(f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _classifier(x, classes, activation):
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.layers.Dense(classes, activation=activation, name="predictions")(x)
