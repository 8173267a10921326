"""Networks that nobody would draw: from a seed, of layers in odd combinations.

They compute in float64, so that a rewrite that is not exact differs by far more than
rounding.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_roots.layers import BatchNormalization, GroupedConv2D


@keras.saving.register_keras_serializable(package="random_networks")
class Standardised(layers.Conv2D):
    """A convolution with weight standardisation."""

    def convolution_op(self, inputs, kernel):
        mean = ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
        return super().convolution_op(inputs, 2.0 * (kernel - mean))


@keras.saving.register_keras_serializable(package="random_networks")
class Negated(layers.BatchNormalization):
    """A normalisation of the other sign."""

    def call(self, inputs, training=None, mask=None):
        return -super().call(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable(package="random_networks")
class Halved(layers.AveragePooling2D):
    """Half of an average."""

    def call(self, inputs):
        return super().call(inputs) / 2


@keras.saving.register_keras_serializable(package="random_networks")
class Shifted(layers.Rescaling):
    """A scale and an offset, and another one."""

    def call(self, inputs):
        return super().call(inputs) + 1


@keras.saving.register_keras_serializable(package="random_networks")
class Bent(layers.ReLU):
    """A ReLU that depends on the other channels."""

    def call(self, inputs):
        return super().call(inputs) + ops.max(inputs, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable(package="random_networks")
class Doubled(type(keras.Model(*[keras.Input((1,))] * 2))):
    """A functional model with a `call` of its own."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


@keras.saving.register_keras_serializable(package="random_networks")
def bend(x):
    """An activation that is none of Keras's."""
    return ops.maximum(x, 0.1 * ops.sin(3 * x))


def network(seed):
    """Returns a network with random weights, and inputs for it."""
    rng = np.random.default_rng(seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = _Builder(rng).model()
    finally:
        keras.config.set_dtype_policy(policy)
    shapes = [(3, *tensor.shape[1:]) for tensor in model.inputs]
    images = [rng.normal(size=shape) for shape in shapes]
    model(images if len(images) > 1 else images[0])  # builds activations with weights
    assign(model, rng)
    return model, images


def assign(model, rng):
    """Gives a model weights that all matter."""
    spread = {"gamma": (1, 0.3), "moving_variance": (1, 0.2), "variance": (1, 0.2)}
    for weight in model.weights:
        if "seed" in weight.name or "int" in weight.dtype:
            continue
        if "kernel" in weight.name:
            scale = np.prod(weight.shape[:-1]) ** -0.5
            weight.assign(rng.normal(0, scale, weight.shape))
        else:
            mean, width = spread.get(weight.name, (0, 0.3))
            values = mean + width * rng.uniform(-1, 1, weight.shape)
            weight.assign(values)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()


class _Builder:
    """Puts layers together; every method takes a tensor and returns one."""

    def __init__(self, rng):
        self.rng = rng
        self.used = []  # layers, with the channels that they take
        self.depth = 0

    def model(self):
        """A model with one input or two, and one output to three."""
        inputs = [self.input() for _ in range(1 + self.maybe(0.25))]
        maps = list(inputs)
        for _ in range(self.rng.integers(5, 12)):
            # Later maps are likelier, so that networks are deep.
            maps.append(
                self.step(maps[-1 - int(self.rng.geometric(0.6) - 1) % len(maps)], maps)
            )
        count = min(int(self.rng.integers(1, 4)), len(maps))
        ends = [maps[-1], *(self.pick(maps) for _ in range(count - 1))]
        outputs = [self.head(x) for x in ends]
        # Every input counts, and no output is an input itself.
        outputs += [layers.GlobalAveragePooling2D()(x) for x in inputs]
        if self.maybe(0.2):
            outputs = {f"out{index}": x for index, x in enumerate(outputs)}
        if self.maybe(0.1) and len(inputs) == 1:
            return keras.Model(inputs[0], outputs)
        return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs)

    def maybe(self, part):
        return bool(self.rng.random() < part)

    def pick(self, values):
        return values[int(self.rng.integers(len(values)))]

    def input(self):
        sides = self.pick([(8, 8), (6, 8), (9, 7), (12, 4), (8, 16)])
        return keras.Input((*sides, int(self.rng.integers(1, 9))), dtype="float64")

    def step(self, x, maps):
        """Adds a layer, or several, to a map of the network."""
        kinds = [
            (5, self.convolution),
            (2, self.batch_norm),
            (2, self.scaling),
            (2, self.activation),
            (2, self.pooling),
            (1.5, self.other_convolution),
            (1, self.sequence),
            (1, self.shape),
            (1.5, self.operation),
            (1.5, self.residual),
            (1.5, self.projections),
            (1, self.squeeze),
            (1.5, self.again),
            (1, lambda x: self.joined(x, maps)),
            (1.5, self.nested),
            (1, self.subclass),
        ]
        weights = np.array([weight for weight, _ in kinds])
        index = self.rng.choice(len(kinds), p=weights / weights.sum())
        return kinds[index][1](x)

    def call(self, layer, x):
        self.used.append((layer, x.shape[-1]))
        return layer(x)

    def function(self):
        return self.pick(
            [None, None, None, "relu", "relu6", "tanh", "leaky_relu", "softmax", bend]
            + [layers.PReLU(), layers.PReLU(shared_axes=[1, 2]), layers.LeakyReLU()]
        )

    def convolution(self, x, filters=None, size=None, **kwargs):
        """A convolution, with groups or without, of any geometry that fits."""
        height, width, channels = x.shape[1:]
        filters = filters or int(self.rng.integers(1, 9))
        largest = min(5, height, width)
        size = size or tuple(int(n) for n in self.rng.integers(1, largest + 1, 2))
        common = [n for n in range(1, 9) if channels % n == filters % n == 0]
        groups = self.pick(common) if self.maybe(0.4) else 1
        settings = {
            "padding": self.pick(["same", "valid"]),
            "use_bias": self.maybe(0.7),
            "activation": self.function(),
            "groups": groups,
        }
        bend = self.rng.random()
        if bend < 0.25:
            settings["strides"] = tuple(int(n) for n in self.rng.integers(1, 3, 2))
        elif bend < 0.4:
            settings |= {"dilation_rate": (1, 2) if self.maybe(0.5) else 2}
            settings["padding"] = "same"
        kind = self.pick([layers.Conv2D, GroupedConv2D])
        return self.call(kind(filters, size, **settings | kwargs), x)

    def other_convolution(self, x):
        """A depthwise, separable or transposed convolution."""
        size = int(self.rng.integers(1, 4))
        if self.maybe(0.5):
            times = 1 + self.maybe(0.3)
            layer = layers.DepthwiseConv2D(
                size,
                padding="same",
                depth_multiplier=times,
                activation=self.function(),
            )
        elif self.maybe(0.5):
            layer = layers.SeparableConv2D(
                self.pick([4, 6]),
                size,
                padding="same",
                use_bias=self.maybe(0.7),
                activation=self.function(),
            )
        elif max(x.shape[1:3]) > 12 or self.maybe(0.5):
            layer = layers.Conv2DTranspose(5, size, 1 + self.maybe(0.3), "same")
        else:
            layer = layers.Conv2DTranspose(
                4, 2, 2, use_bias=self.maybe(0.7), activation=self.function()
            )
        return self.call(layer, x)

    def sequence(self, x):
        """A convolution along the positions of a map, one after the other."""
        height, width, channels = x.shape[1:]
        settings = {
            "padding": self.pick(["same", "causal"]),
            "use_bias": self.maybe(0.7),
            "activation": self.function(),
            "dilation_rate": self.pick([1, 1, 2]),
        }
        if self.maybe(0.5):
            groups = 2 if channels % 2 == 0 and self.maybe(0.3) else 1
            layer = layers.Conv1D(4, 3, groups=groups, **settings)
        else:
            layer = layers.SeparableConv1D(4, 3, **settings | {"padding": "same"})
        y = layer(layers.Reshape((height * width, channels))(x))
        return layers.Reshape((height, width, 4))(y)

    def batch_norm(self, x):
        """A BatchNormalization, of Keras or of the package, along any axis."""
        kind = self.pick([layers.BatchNormalization, BatchNormalization])
        axis = self.pick([-1, -1, 3, 1, 2])
        layer = kind(axis=axis, scale=self.maybe(0.8), center=self.maybe(0.8))
        return self.call(layer, x) if axis in (-1, 3) else layer(x)

    def scaling(self, x):
        """A Rescaling or a Normalization, by channel, row, column, or position."""
        height, width, channels = x.shape[1:]
        shapes = [(), (channels,), (1, 1, channels), (height, 1, 1), (width, 1)]
        shapes += [(height, width, channels), (width, channels), (1, 1, 1, channels)]
        if self.maybe(0.6):
            scale, offset = (
                self.rng.uniform(0.5, 1.5, self.pick([(), (), shape])).tolist()
                for shape in [self.pick(shapes)] * 2
            )
            return layers.Rescaling(scale, offset)(x)
        axis = self.pick([-1, 1, 2, (2, 3), (1, 2, 3), None])
        layer = layers.Normalization(axis=axis, invert=self.maybe(0.2))
        return layer(x)

    def activation(self, x):
        layer = self.pick(
            [
                layers.ReLU(),
                layers.ReLU(6.0),
                layers.ReLU(negative_slope=0.1, threshold=0.2),
                layers.PReLU(),
                layers.PReLU(shared_axes=[1, 2]),
                layers.LeakyReLU(),
                layers.ELU(),
                layers.Softmax(axis=self.pick([-1, 1])),
                layers.Activation(self.pick(["relu", "tanh", "softmax", bend])),
                layers.Dropout(0.5),
                layers.Lambda(bend, output_shape=x.shape[1:]),
            ]
        )
        return layer(x)

    def pooling(self, x):
        kind = self.pick([layers.AveragePooling2D, layers.MaxPooling2D])
        size = int(min(self.rng.integers(1, 4), *x.shape[1:3]))
        strides = self.pick([None, 1, 2])
        padding = self.pick(["same", "valid"])
        return self.call(kind(size, strides, padding), x)

    def shape(self, x):
        """A layer that changes the sides of a map."""
        if min(x.shape[1:3]) > 4 and self.maybe(0.5):
            return layers.Cropping2D(1)(x)
        if max(x.shape[1:3]) > 12 or self.maybe(0.5):
            return layers.ZeroPadding2D(((0, 1), (1, 0)))(x)
        return layers.UpSampling2D((1, 2))(x)

    def operation(self, x):
        """An operation of `keras.ops`, with or without constants."""
        channels = x.shape[-1]
        constant = self.rng.uniform(0.5, 1.5, channels)
        kind = int(self.rng.integers(9))
        if kind == 0:
            return x + 1.5
        if kind == 1:
            return ops.multiply(x, constant)
        if kind == 2:
            return ops.subtract(constant, x)
        if kind == 3:
            return ops.relu(x)
        if kind == 4:
            return ops.flip(x, axis=-1)
        if kind == 5:
            return x[..., : max(1, channels // 2)]
        if kind == 6:
            return ops.pad(x, [(0, 0), (1, 0), (0, 1), (0, 0)])
        if kind == 7:
            return ops.concatenate([x, ops.tanh(x)], axis=-1)
        return x - ops.mean(x, axis=(1, 2), keepdims=True)

    def residual(self, x):
        """A map plus what a convolution makes of it."""
        y = self.convolution(x, x.shape[-1], padding="same", strides=1)
        if self.maybe(0.5):
            y = self.batch_norm(y)
        return self.pick([layers.Add(), layers.Multiply(), layers.Maximum()])([x, y])

    def projections(self, x):
        """The sum of two 1x1 convolutions of the same map or of others."""
        strides = int(self.rng.integers(1, 3))
        parts = []
        for _ in range(2):
            y = self.pick([x, self.activation(x)])
            y = layers.Conv2D(6, 1, strides, use_bias=self.maybe(0.5), activation=None)(
                y
            )
            parts.append(self.batch_norm(y) if self.maybe(0.5) else y)
        return layers.Add()(parts) if self.maybe(0.8) else parts[0] + parts[1]

    def squeeze(self, x):
        """A squeeze-and-excite block."""
        channels = x.shape[-1]
        y = layers.GlobalAveragePooling2D()(x)
        y = layers.Dense(3, activation="relu")(y)
        y = layers.Dense(channels, activation="sigmoid")(y)
        return x * layers.Reshape((1, 1, channels))(y)

    def again(self, x):
        """A layer that was called before, on this map."""
        fitting = [layer for layer, channels in self.used if channels == x.shape[-1]]
        for layer in self.rng.permutation(np.array(fitting, dtype=object)):
            size = getattr(layer, "kernel_size", getattr(layer, "pool_size", (1, 1)))
            dilation = getattr(layer, "dilation_rate", (1, 1))
            activation = getattr(layer, "activation", None)
            if isinstance(activation, layers.PReLU):
                continue  # it belongs to one shape
            if isinstance(layer, keras.Model):
                if layer.inputs[0].shape[1:] == x.shape[1:]:
                    return layer(x)
            elif all(
                (n - 1) * d < side
                for n, d, side in zip(size, dilation, x.shape[1:3], strict=True)
            ):
                return layer(x)
        return self.convolution(x)

    def joined(self, x, maps):
        """Maps of the same sides, one after the other, or added where they can be."""
        others = [y for y in maps if y.shape[1:3] == x.shape[1:3]]
        y = self.pick(others)
        if y.shape == x.shape and self.maybe(0.5):
            return layers.Add()([x, y])
        return layers.Concatenate(axis=self.pick([-1, 3]))([x, y])

    def nested(self, x):
        """A model within the model, functional or Sequential, perhaps with a `call`."""
        if self.depth > 1:
            return self.convolution(x)
        self.depth += 1
        inner = keras.Input(x.shape[1:], dtype="float64")
        y = inner
        for _ in range(self.rng.integers(1, 4)):
            y = self.step(y, [inner, y])
        self.depth -= 1
        kind = self.pick([keras.Model, keras.Model, keras.Sequential, Doubled])
        if kind is keras.Sequential:
            convolution = layers.Conv2D(4, 1, use_bias=self.maybe(0.5))
            model = kind([inner, convolution, layers.ReLU()])
        else:
            model = kind(inner, y)
        return self.call(model, x)

    def subclass(self, x):
        """A layer of a class that inherits from one of Keras's, and computes more."""
        kind = int(self.rng.integers(5))
        if kind == 0:
            return self.call(Standardised(6, 3, padding="same"), x)
        if kind == 1:
            return self.call(Negated(), x)
        if kind == 2:
            return (
                Halved(2, 1, self.pick(["same", "valid"]))(x)
                if min(x.shape[1:3]) > 1
                else x + 0.5
            )
        if kind == 3:
            return Shifted(self.rng.uniform(0.5, 1.5, x.shape[-1]).tolist())(x)
        return Bent()(x)

    def head(self, x):
        """Makes an output of a map."""
        if self.maybe(0.4):
            return self.convolution(x)
        x = self.pick([layers.GlobalAveragePooling2D(), layers.Flatten()])(x)
        return layers.Dense(4, activation=self.pick([None, "softmax"]))(x)
