"""How layers of tf_keras compute in training what an int8 LiteRT file computes."""

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

_quantizers = tfmot.quantization.keras.quantizers
_registered = tf_keras.saving.register_keras_serializable(package="keras_roots")


class _Range:
    """8 bits over a range that starts at zero and can be recorded from data."""

    recording = False

    def __init__(self):
        super().__init__(8, per_axis=False, symmetric=False, narrow_range=False)

    def build(self, tensor_shape, name, layer):
        """Adds the ends of the range to a layer's weights."""
        return {
            f"{end}_var": layer.add_weight(
                f"{name}_{end}", initializer="zeros", trainable=False
            )
            for end in ("min", "max")
        }

    def __call__(self, inputs, training, weights, **kwargs):
        """Returns rounded activations, unchanged ones while it records a range."""
        if not self.recording:
            return super().__call__(inputs, training, weights, **kwargs)
        lowest, highest = weights["min_var"], weights["max_var"]
        lowest.assign(tf.minimum(lowest, tf.reduce_min(inputs)))
        highest.assign(tf.maximum(highest, tf.reduce_max(inputs)))
        return inputs


class ActivationQuantizer(_Range, _quantizers.MovingAverageQuantizer):
    """8 bits over a range that follows the batches."""


class InputQuantizer(_Range, _quantizers.AllValuesQuantizer):
    """8 bits over the range of all images that were seen."""


class KernelQuantizer(_quantizers.LastValueQuantizer):
    """-127 to 127, with a scale per filter or one for all.

    Args:
        per_axis: Whether each filter has its own.
        shared: Whether the scales of all filters are the same. BatchNormalization,
            which is folded into the kernel, then changes the scales and not the
            rounded weights.
    """

    recording = False

    def __init__(self, per_axis, shared=False):
        super().__init__(8, per_axis=per_axis, symmetric=True, narrow_range=True)
        self.shared = shared

    def __call__(self, inputs, training, weights, **kwargs):
        """Returns a rounded kernel, or an unchanged one while ranges are recorded."""
        training = training or self.recording
        if training and self.shared:
            largest = tf.reduce_max(tf.abs(inputs))
            for end, sign in (("min_var", -1.0), ("max_var", 1.0)):
                weights[end].assign(tf.fill(weights[end].shape, sign * largest))
            training = False
        rounded = super().__call__(inputs, training, weights, **kwargs)
        return inputs if self.recording else rounded


_OUTPUTS = {"activation": ActivationQuantizer, "input": InputQuantizer}


@_registered
class EightBits(tfmot.quantization.keras.QuantizeConfig):
    """The parts of a layer that are rounded.

    Args:
        kernel: Attribute that holds the kernel, `None` if there is none.
        output: How the range of the output is found, `"activation"` or `"input"`;
            `None` where the file has no tensor for it.
        per_axis: As for `KernelQuantizer`.
        shared: As for `KernelQuantizer`.
    """

    def __init__(self, kernel=None, output=None, per_axis=True, shared=False):
        self.kernel = kernel
        self.output = output
        self.per_axis = per_axis
        self.shared = shared
        self._of_kernel = [KernelQuantizer(per_axis, shared)] if kernel else []
        self._of_output = [_OUTPUTS[output]()] if output else []

    def quantizers(self) -> list:
        """Returns the quantizers of the kernel and of the output."""
        return self._of_kernel + self._of_output

    def get_weights_and_quantizers(self, layer):
        """Returns the kernel and its quantizer."""
        return [(getattr(layer, self.kernel), x) for x in self._of_kernel]

    def set_quantize_weights(self, layer, quantize_weights):
        """Gives the layer the rounded kernel."""
        for weights in quantize_weights:
            setattr(layer, self.kernel, weights)

    def get_activations_and_quantizers(self, layer):
        """Returns nothing: activations are rounded as outputs."""
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        """Does nothing."""
        pass  # AutoGraph cannot read a function of nothing but a docstring.

    def get_output_quantizers(self, layer):
        """Returns the quantizers of the output."""
        return self._of_output

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            "kernel": self.kernel,
            "output": self.output,
            "per_axis": self.per_axis,
            "shared": self.shared,
        }
