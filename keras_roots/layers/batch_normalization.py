"""BatchNormalization: trains in one fused operation where TensorFlow has one."""

import keras


@keras.saving.register_keras_serializable(package="keras_roots")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation that TensorFlow computes in one operation in training.

    The same layer as `keras.layers.BatchNormalization`: arguments, weights and results.
    Keras composes it of some ten passes over the activations, which is most of the time
    in which a network such as Network in Network trains on a CPU; the fused operation
    makes two. It also takes bfloat16 activations as they are, with its statistics in
    float32. Inference, masked inputs, synchronised statistics, renormalisation, other
    layouts and other Keras backends are computed as Keras does.

    Args:
        **kwargs: The arguments of `keras.layers.BatchNormalization`.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalises a batch of images."""
        if not (training and self.trainable and self._is_fusible(inputs, mask)):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        gamma = self.gamma if self.scale else tf.ones((channels,))
        beta = self.beta if self.center else tf.zeros((channels,))
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            tf.cast(inputs, self.compute_dtype),
            tf.cast(gamma, "float32"),
            tf.cast(beta, "float32"),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation's variance is of a sample (n - 1), Keras keeps the batch's (n).
        count = tf.cast(tf.size(inputs) // channels, "float32")
        variance *= (count - 1.0) / count
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return outputs

    def _is_fusible(self, inputs, mask) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and mask is None
            and not self.synchronized
            and not getattr(self, "renorm", False)  # not in every Keras 3
            and self.compute_dtype in ("float32", "bfloat16")
            and self.variable_dtype == "float32"
        )
