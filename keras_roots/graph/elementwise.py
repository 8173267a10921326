"""Activations that treat every number by itself, whatever its channel."""

import keras

ELEMENTWISE = {
    getattr(keras.activations, name)
    for name in (
        "linear relu relu6 leaky_relu elu selu celu gelu silu mish softplus softsign "
        "tanh sigmoid hard_sigmoid hard_silu hard_tanh exponential log_sigmoid"
    ).split()
    if hasattr(keras.activations, name)  # some are newer than Keras 3.12
}
