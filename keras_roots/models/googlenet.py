"""GoogLeNet with filter groups, for ImageNet (Deep Roots, Tables 6 and 7)."""

import keras

from keras_roots.models import builder, predictions
from keras_roots.models.registry import register
from keras_roots.models.topology import Grouped
from keras_roots.utils import checks

FAMILY = builder.Family(
    "root_googlenet", "imagenet", size=224, min_size=32, classes=1000
)

# Inception module: filters of its 1x1, of the 1x1 before its 3x3, of its 3x3, of the
# 1x1 before its 5x5, of its 5x5, and of the 1x1 after its pool (Szegedy et al., 2014).
MODULES = {
    "inception_3a": (64, 96, 128, 16, 32, 32),
    "inception_3b": (128, 128, 192, 32, 96, 64),
    "inception_4a": (192, 96, 208, 16, 48, 64),
    "inception_4b": (160, 112, 224, 24, 64, 64),
    "inception_4c": (128, 128, 256, 24, 64, 64),
    "inception_4d": (112, 144, 288, 32, 64, 64),
    "inception_4e": (256, 160, 320, 32, 128, 128),
    "inception_5a": (256, 160, 320, 32, 128, 128),
    "inception_5b": (384, 192, 384, 48, 128, 128),
}
STAGES = ("conv2", "inception_3", "inception_4", "inception_5")

# Auxiliary head: the module it reads.
AUXILIARY = {"aux1": "inception_4a", "aux2": "inception_4d"}

# conv2 and the 3x3 and 5x5 of every module take groups; 1x1s mix them again.
GROUPED = (
    Grouped("conv2", 0, 64, 192),
    *(
        Grouped(f"{module}_{size}", STAGES.index(module[:-1]), channels, filters)
        for module, (_, to_3x3, of_3x3, to_5x5, of_5x5, _) in MODULES.items()
        for size, channels, filters in (
            ("3x3", to_3x3, of_3x3),
            ("5x5", to_5x5, of_5x5),
        )
    ),
)


@register(FAMILY.name, GROUPED)
@builder.documented(FAMILY, STAGES)
def RootGoogLeNet(
    root=8,
    topology="root",
    aux_heads=False,
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
    """GoogLeNet with filter groups.

    Ioannou et al., Deep Roots (CVPR 2017), Tables 6 and 7: root-8 is within 0.3 % of
    the top-1 accuracy of the dense network, `root=1`, on ImageNet, at 56 % of its
    multiply-adds. As there, every convolution has a bias and is followed by a
    BatchNorm that neither scales nor shifts.

    The four 1x1s that read a module's input are initialised as the one layer that they
    are to it (Ioannou et al., Training CNNs with Low-Rank Filters, ICLR 2016, arXiv
    1511.06744, section on composite layers): the gradients that they send back add up,
    so He et al.'s variance for back-propagation, 2 / (k * k * filters), takes the
    filters of all four together.

    `aux_heads=True` adds the two auxiliary classifiers, which help training and are not
    for use; it needs `include_top=True`. The outputs are then a list: those of the
    network, of the head on inception 4a and of the head on inception 4d. Train with all
    three, then drop the heads: `keras.Model(model.input, model.outputs[0])`.

    The output of module `m` is `inception_{m}`; its 3x3 and 5x5 share a group count.
    """
    arguments = locals()
    del arguments["aux_heads"]
    checks.boolean("aux_heads", aux_heads)
    if aux_heads and not include_top:
        raise ValueError(
            "`aux_heads=True` adds classifiers, which needs `include_top=True`. "
            f"Received: aux_heads={aux_heads}, include_top={include_top}"
        )
    modules = {}
    return builder.build_model(
        FAMILY,
        lambda x, groups: _features(x, groups, modules),
        lambda x, *top: _classifier(x, *top, modules if aux_heads else None),
        **arguments,
    )


def preprocess_input(x):
    """Normalises pixels 0 to 255 for `include_preprocessing=False`."""
    return builder.preprocess_input(x, FAMILY.dataset)


def decode_predictions(preds, top=5):
    """Names the `top` classes, as `keras.applications` does: (id, name, score)."""
    return predictions.decode_predictions(preds, FAMILY.dataset, top)


def _features(x, groups, modules):
    """Returns the last feature map, and enters every module's output in `modules`."""
    groups_of = {layer.name: groups[layer.stage] for layer in GROUPED}
    x = _conv(x, 64, 7, "conv1", strides=2)
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    x = _conv(x, 64, 1, "conv2_reduce")
    x = _conv(x, 192, 3, "conv2", groups=groups_of["conv2"])
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool2")(x)
    for name, filters in MODULES.items():
        if name == "inception_4a":
            # Caffe pads by one and rounds up: 28 pixels become 15, 29 would too.
            x = keras.layers.ZeroPadding2D(((1, 2), (1, 2)), name="pool3_pad")(x)
            x = keras.layers.MaxPooling2D(3, 2, name="pool3")(x)
        if name == "inception_5a":
            x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool4")(x)
        x = _inception(x, filters, groups_of, name)
        modules[name] = x
    return x


def _inception(x, filters, groups_of, name):
    of_1x1, to_3x3, of_3x3, to_5x5, of_5x5, after_pool = filters
    deviation = (2 / (of_1x1 + to_3x3 + to_5x5 + after_pool)) ** 0.5

    def reading(x, filters, part):
        initializer = keras.initializers.RandomNormal(stddev=deviation)
        return _conv(x, filters, 1, f"{name}_{part}", kernel_initializer=initializer)

    def spatial(x, filters, kernel_size, part):
        part = f"{name}_{part}"
        return _conv(x, filters, kernel_size, part, groups=groups_of[part])

    pooled = keras.layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_pool")(x)
    branches = [
        reading(x, of_1x1, "1x1"),
        spatial(reading(x, to_3x3, "3x3_reduce"), of_3x3, 3, "3x3"),
        spatial(reading(x, to_5x5, "5x5_reduce"), of_5x5, 5, "5x5"),
        reading(pooled, after_pool, "pool_proj"),
    ]
    return keras.layers.Concatenate(axis=builder.channel_axis(), name=name)(branches)


def _conv(x, filters, kernel_size, name, **kwargs):
    x = builder.conv(filters, kernel_size, name=name, **kwargs)(x)
    x = builder.batch_norm(f"{name}_bn", center=False, scale=False)(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _classifier(x, classes, activation, modules):
    # 8x8 leaves 2x2; a smaller input's map may be smaller than the window.
    window = [min(7, side) for side in _sides(x)]
    x = keras.layers.AveragePooling2D(window, 1, name="avg_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dropout(0.4, name="dropout")(x)
    main = keras.layers.Dense(classes, activation=activation, name="predictions")(x)
    if modules is None:
        return main
    return [main] + [
        _auxiliary(modules[module], classes, activation, name)
        for name, module in AUXILIARY.items()
    ]


def _auxiliary(x, classes, activation, name):
    x = keras.layers.AveragePooling2D(5, 3, padding="same", name=f"{name}_pool")(x)
    x = _conv(x, 128, 1, f"{name}_conv")
    x = keras.layers.Flatten(name=f"{name}_flatten")(x)
    x = keras.layers.Dense(
        1024, activation="relu", kernel_initializer="he_normal", name=f"{name}_fc"
    )(x)
    x = keras.layers.Dropout(0.7, name=f"{name}_dropout")(x)
    return keras.layers.Dense(
        classes, activation=activation, name=f"{name}_predictions"
    )(x)


def _sides(x):
    sides = list(x.shape[1:])
    sides.pop(-1 if builder.channel_axis() == -1 else 0)
    return sides
