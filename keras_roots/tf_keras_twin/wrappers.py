"""The wrappers that tensorflow-model-optimization puts around layers of a twin."""

from collections.abc import Iterator

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras


@tf_keras.saving.register_keras_serializable(package="keras_roots")
class QuantizedLayer(tfmot.quantization.keras.QuantizeWrapperV2):
    """A layer that trains as if it were quantised, unless it is frozen.

    Args:
        layer: A layer of tf_keras.
        quantize_config: What of it is quantised.
        **kwargs: As for `tfmot.quantization.keras.QuantizeWrapperV2`.
    """

    def build(self, input_shape):
        """Keeps the weights, which calls replace by quantised ones."""
        if not self.layer.built:
            self.layer.build(input_shape)
        variables = self.layer.weights
        # Not as a list: tf_keras would take it for weights of the wrapper.
        self._read = lambda: [np.asarray(variable) for variable in variables]
        super().build(input_shape)

    @property
    def output_range(self) -> dict:
        """The variables that hold the ends of the output's range, by names."""
        return self._output_quantizer_vars

    def float_weights(self) -> list[np.ndarray]:
        """Returns the layer's weights as they are before quantisation."""
        return self._read()

    @property
    def trainable_weights(self):
        """The weights of the layer, none if it is frozen."""
        return super().trainable_weights if self.layer.trainable else []

    @property
    def non_trainable_weights(self):
        """The other weights of the layer, and the ends of ranges."""
        frozen = [] if self.layer.trainable else super().trainable_weights
        return frozen + super().non_trainable_weights


def strip(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a model without the wrappers of pruning and clustering.

    It is the model itself if there are none.
    """
    if not any(
        isinstance(layer, tf_keras.layers.Wrapper)
        and not isinstance(layer, QuantizedLayer)
        for layer in model.layers
    ):
        return model
    clustered = tfmot.clustering.keras.strip_clustering(model)
    return tfmot.sparsity.keras.strip_pruning(clustered)


def named_weights(model: tf_keras.Model) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields the name and the weights of every layer, whatever wraps it."""
    for layer in strip(model).layers:
        if isinstance(layer, QuantizedLayer):
            yield layer.layer.name, layer.float_weights()
        else:
            yield layer.name, layer.get_weights()
