"""Checks of arguments: each returns the value, or says what would work."""

from keras_roots.utils.checks.arrays import (
    array,
    images,
)
from keras_roots.utils.checks.membership import (
    choice,
    choices,
    collection,
)
from keras_roots.utils.checks.numeric import (
    LARGEST,
    integer,
    integers,
    is_integer,
    is_number,
    kernel_shape,
    number,
    pair,
    part,
    seed,
    unpacked,
)
from keras_roots.utils.checks.objects import (
    boolean,
    function,
    instance,
    is_bare,
    of_keras,
    path,
    quoted,
    text,
    unused,
)

__all__ = [
    "LARGEST",
    "array",
    "boolean",
    "choice",
    "choices",
    "collection",
    "function",
    "images",
    "instance",
    "integer",
    "integers",
    "is_bare",
    "is_integer",
    "is_number",
    "kernel_shape",
    "number",
    "of_keras",
    "pair",
    "part",
    "path",
    "quoted",
    "seed",
    "text",
    "unpacked",
    "unused",
]
