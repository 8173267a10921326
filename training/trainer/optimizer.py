"""SGD whose rate is lower, or zero at first, for all layers but the classifier."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_roots")
class SGD(keras.optimizers.SGD):
    """SGD that trains the body of a network more slowly than its heads.

    A new classifier on a trained body has large gradients at first, which would undo
    what the body has learnt.

    Args:
        *args: As for `keras.optimizers.SGD`.
        heads: Positions of the variables that have the full learning rate, among those
            that the optimizer is built with: names may be of several layers.
        body_rate: Rate of all other layers, over the learning rate.
        frozen_steps: First steps, in which other layers are not trained.
        **kwargs: As for `keras.optimizers.SGD`.
    """

    def __init__(self, *args, heads=(), body_rate=1.0, frozen_steps=0, **kwargs):
        super().__init__(*args, **kwargs)
        self.heads = list(heads)
        self.body_rate = body_rate
        self.frozen_steps = frozen_steps

    def build(self, variables):
        """Notes which variables are of the body. As for every optimiser."""
        self._is_body = [
            position not in self.heads for position in range(len(variables))
        ]
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        """As for every optimiser."""
        if self._is_body[self._get_variable_index(variable)]:
            rate = ops.where(self.iterations < self.frozen_steps, 0.0, self.body_rate)
            learning_rate = learning_rate * ops.cast(rate, learning_rate.dtype)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        """Returns the arguments, as for every optimiser."""
        own = ("heads", "body_rate", "frozen_steps")
        return super().get_config() | {name: getattr(self, name) for name in own}
