"""Importing tf_keras and tensorflow-model-optimization beside Keras 3."""

import contextlib
import os

from keras_roots import export

_LEGACY = "TF_USE_LEGACY_KERAS"
_INSTALL = "pip install 'keras_roots[optimize]'"


def require_tf_keras():
    """Returns `tf_keras`.

    Raises:
        ImportError: It is not installed.
        ValueError: Keras runs on another backend than TensorFlow.
    """
    export.require_tensorflow()
    with _keras_stays():
        try:
            import tf_keras
        except ImportError as error:
            raise ImportError(f"A twin needs tf_keras: {_INSTALL}") from error
    return tf_keras


def require_tfmot():
    """Returns `tensorflow_model_optimization`.

    Raises:
        ImportError: It is not installed.
        ValueError: Keras runs on another backend than TensorFlow.
    """
    require_tf_keras()
    with _keras_stays():
        try:
            import tensorflow_model_optimization
        except ImportError as error:
            raise ImportError(
                f"Optimisation needs tensorflow-model-optimization: {_INSTALL}"
            ) from error
    return tensorflow_model_optimization


@contextlib.contextmanager
def _keras_stays():
    """Keeps `tf.keras` what it is, and the environment that child processes get.

    tensorflow-model-optimization sets a variable on import, by which TensorFlow chooses
    what `tf.keras` is when it is first used: that has to happen before.
    """
    import tensorflow as tf

    for namespace in (tf, tf.compat.v1, tf.compat.v2):
        namespace.keras.layers  # noqa: B018
    before = os.environ.get(_LEGACY)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_LEGACY, None)
        else:
            os.environ[_LEGACY] = before
