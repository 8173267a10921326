"""Layers, regularizers and constraints of tf_keras that a twin is made of."""

import keras
import tensorflow as tf
import tf_keras

from keras_roots import layers

_registered = tf_keras.saving.register_keras_serializable(package="keras_roots")


@_registered
class GroupedConv2D(tf_keras.layers.Conv2D):
    """`keras_roots.layers.GroupedConv2D`, for tf_keras.

    `tf_keras.layers.Conv2D(groups=g)` compiles the convolution with XLA, which is up to
    a hundred times slower on a CPU. tensorflow-model-optimization prunes and clusters
    this layer as it does that one.

    Args:
        *args: As for `tf_keras.layers.Conv2D`.
        lowering: As for `keras_roots.layers.GroupedConv2D`.
        **kwargs: As for `tf_keras.layers.Conv2D`.
    """

    def __init__(self, *args, lowering="auto", **kwargs):
        super().__init__(*args, **kwargs)
        self.lowering = lowering

    def call(self, inputs):
        """Convolves each group of input channels with its own filters."""
        outputs = layers.grouped_conv2d(
            inputs,
            tf.convert_to_tensor(self.kernel),
            groups=self.groups,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
            lowering=self.lowering,
        )
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)

    def get_prunable_weights(self):
        """Returns the weights to prune: the kernel."""
        return [self.kernel]

    def get_clusterable_weights(self):
        """Returns the weights to cluster: the kernel."""
        return [("kernel", self.kernel)]

    def get_clusterable_algorithm(self, weight_name):
        """Returns `None`, for the usual algorithm."""
        return None

    def get_config(self):
        """Returns the configuration of a `Conv2D`, and the lowering."""
        return {**super().get_config(), "lowering": self.lowering}


@_registered
class ChannelScale(tf_keras.layers.Layer):
    """A fixed factor and offset per channel, as a depthwise 1x1 convolution.

    A BatchNormalization after it becomes part of it in a LiteRT file: one operation in
    int8, where a factor and an offset by themselves are two.

    Args:
        scale: Factors: one number, or one per channel.
        offset: Offsets likewise; `None` for none.
        **kwargs: The other arguments of a layer.
    """

    def __init__(self, scale, offset=None, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, inputs):
        """Scales a batch of images."""
        kernel = tf.reshape(self._per_channel(self.scale, inputs), (1, 1, -1, 1))
        outputs = tf.nn.depthwise_conv2d(inputs, kernel, [1, 1, 1, 1], "VALID")
        if self.offset is None:
            return outputs
        offset = self._per_channel(self.offset, inputs)
        return tf.nn.bias_add(outputs, tf.reshape(offset, (-1,)))

    def _per_channel(self, values, inputs):
        values = tf.constant(values, inputs.dtype)
        return tf.broadcast_to(values, (1, 1, inputs.shape[-1]))

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


@_registered
class LayerScale(tf_keras.layers.Layer):
    """A factor per channel that is trained, as ConvNeXt has it.

    Args:
        init_values: The factors at the start.
        projection_dim: Number of channels.
        **kwargs: The other arguments of a layer.
    """

    def __init__(self, init_values, projection_dim, **kwargs):
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape):
        """Makes the factors."""
        start = tf_keras.initializers.Constant(self.init_values)
        self.gamma = self.add_weight("gamma", (self.projection_dim,), initializer=start)
        super().build(input_shape)

    def call(self, inputs):
        """Scales the channels."""
        return inputs * self.gamma

    def get_config(self):
        """Returns the arguments of the constructor."""
        own = {"init_values": self.init_values, "projection_dim": self.projection_dim}
        return {**super().get_config(), **own}


@_registered
class WeightlessLayer(tf_keras.layers.Layer):
    """A layer of Keras 3 without weights, called within tf_keras.

    Args:
        layer: The layer of Keras 3.
        **kwargs: The other arguments of a layer.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        self._layer = layer

    def call(self, inputs, training=None):
        """Calls the layer."""
        if self._layer._call_has_training_arg:
            return self._layer.call(inputs, training=training)
        return self._layer.call(inputs)

    def get_config(self):
        """Returns the arguments of the constructor."""
        layer = keras.saving.serialize_keras_object(self._layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        """Makes the layer of Keras 3 again."""
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


@_registered
def hard_sigmoid(x):
    """`keras.activations.hard_sigmoid`; that of tf_keras has another slope."""
    return tf.nn.relu6(x + 3.0) * (1 / 6)


@_registered
def hard_silu(x):
    """`keras.activations.hard_silu`, which tf_keras lacks."""
    return x * hard_sigmoid(x)


class _OfKeras3:
    """A regularizer or constraint of Keras 3 that tf_keras calls as its own."""

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __call__(self, weights):
        return self.wrapped(tf.convert_to_tensor(weights))

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"wrapped": keras.saving.serialize_keras_object(self.wrapped)}

    @classmethod
    def from_config(cls, config):
        """Makes the regularizer or constraint of Keras 3 again."""
        return cls(keras.saving.deserialize_keras_object(config["wrapped"]))


@_registered
class Regularizer(_OfKeras3, tf_keras.regularizers.Regularizer):
    """A regularizer of Keras 3 for weights of tf_keras.

    Args:
        wrapped: The regularizer of Keras 3.
    """


@_registered
class Constraint(_OfKeras3, tf_keras.constraints.Constraint):
    """A constraint of Keras 3 for weights of tf_keras.

    Args:
        wrapped: The constraint of Keras 3.
    """
