"""Networks to start from: of the zoo, from a file, or of keras.applications."""

from keras_roots.training.networks.applications import has_new_head, is_application
from keras_roots.training.networks.start import Start, Zoo, is_trained, parse_model

__all__ = [
    "Start",
    "Zoo",
    "has_new_head",
    "is_application",
    "is_trained",
    "parse_model",
]
