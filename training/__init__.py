"""Training, measuring and reports over the library, and the console scripts."""

import importlib

_PUBLIC = dict.fromkeys(("distiller", "finetuner"), "keras_roots.training.trainer")

__all__ = [*_PUBLIC]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
