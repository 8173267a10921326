"""Model families, one page each, and the registry of them."""

from keras_roots.models.nin import RootNiN
from keras_roots.models.registry import create_model, list_models

__all__ = ["RootNiN", "create_model", "list_models"]
