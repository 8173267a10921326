"""A SavedModel's choice between two ways to compute, made by the host that loads it.

TensorFlow's grouped convolution fails on CPUs without oneDNN, and a graph cannot catch
an error, but a `tf.data` pipeline within it can leave out the elements that fail. So an
initialiser in the SavedModel, which every loader runs (Python's, TensorFlow Serving's,
C++'s), tries the operation in such a pipeline and keeps the answer in a variable.
"""

import uuid
from collections.abc import Collection, Iterator
from typing import NamedTuple

from keras_roots.layers import grouped_conv2d


class Kind(NamedTuple):
    """What decides whether a host has TensorFlow's grouped convolution.

    Attributes:
        dtype: Name of the dtype of images and kernel.
        data_format: `"channels_last"` or `"channels_first"`.
        dilated: Whether the convolution is dilated.
    """

    dtype: str
    data_format: str
    dilated: bool


def make_choice(kinds: Collection[Kind]):
    """Returns a resource that knows whether the host has the grouped convolution.

    Args:
        kinds: The convolutions that have to work, all of them.

    Returns:
        A `tf.saved_model.experimental.TrackableResource`, to be an attribute of what is
        saved; `has_native` reads it.
    """
    import tensorflow as tf

    class Choice(tf.saved_model.experimental.TrackableResource):
        def __init__(self):
            super().__init__()
            self._shared_name = f"native_{uuid.uuid4().hex}"
            self._initialize()

        def _create_resource(self):
            return tf.raw_ops.VarHandleOp(
                dtype=tf.bool, shape=(), shared_name=self._shared_name
            )

        def _initialize(self):
            works = tf.reduce_all([_works(kind) for kind in sorted(kinds)])
            tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=works)

    return Choice()


def has_native(choice):
    """Returns the resource's answer as a boolean tensor."""
    import tensorflow as tf

    return tf.raw_ops.ReadVariableOp(resource=choice.resource_handle, dtype=tf.bool)


def each_choice(choice) -> Iterator[str]:
    """Makes a loaded SavedModel compute in each way that this host can, in turn.

    Args:
        choice: The resource of the SavedModel, as it was loaded.

    Yields:
        How it now computes filter groups: `"split"`, then perhaps `"native"`.
    """
    import tensorflow as tf

    lowerings = ("split", "native") if has_native(choice) else ("split",)
    for lowering in lowerings:
        tf.raw_ops.AssignVariableOp(
            resource=choice.resource_handle, value=tf.constant(lowering == "native")
        )
        yield lowering


def _works(kind):
    """Tries convolution + bias + ReLU, which graphs fuse; returns a boolean tensor."""
    import tensorflow as tf

    channels_first = kind.data_format == "channels_first"

    def attempt(images, kernel, bias):
        outputs = grouped_conv2d(
            images,
            kernel,
            groups=2,
            strides=(1, 1),
            padding="same",
            data_format=kind.data_format,
            dilation_rate=(2, 2) if kind.dilated else (1, 1),
            lowering="native",
        )
        outputs = tf.nn.relu(
            tf.nn.bias_add(outputs, bias, "NC.." if channels_first else "N..C")
        )
        centre = outputs[0, :, 2, 2] if channels_first else outputs[0, 2, 2]
        return tf.reduce_all(tf.abs(tf.cast(centre, "float32") - expected) < 0.1)

    # Two groups of channels, of ones and of twos: their sums differ.
    images = tf.constant([[[[1, 1, 2, 2]] * 5] * 5], kind.dtype)
    if channels_first:
        images = tf.transpose(images, (0, 3, 1, 2))
    expected = 9 * 2 * tf.constant([1] * 4 + [2] * 4, "float32") + 1
    # An element is no constant, with which the operation would be run ahead, unfused.
    elements = (images, tf.ones((3, 3, 2, 8), kind.dtype), tf.ones(8, kind.dtype))
    attempts = tf.data.Dataset.from_tensors(elements).map(attempt).ignore_errors()
    return attempts.reduce(False, lambda _, works: works)
