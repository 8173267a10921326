"""Sample inputs of a model, and a copy of it that runs operation by operation."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np

from keras_roots import graph
from keras_roots.layers import GroupedConv2D
from keras_roots.utils import checks

MOST_SAMPLES = 1000  # that are read from a data set or a generator, which may not end
_HELD_OUT = 5  # of so many samples one is held out
_MOST_HELD_OUT = 500
_BATCH = 50
_NUMBERS = _BATCH * 224 * 224 * 3  # of the largest input in a batch, at most


class Samples:
    """Sample inputs that a model can take, an array per input.

    `Samples.of` makes them of whatever a user has.

    Args:
        arrays: An array `(n, ...)` per input, checked, in the order of `model.inputs`.
        dtypes: The types that the model takes them in.
    """

    def __init__(self, arrays: Sequence[np.ndarray], dtypes: Sequence[str]):
        self.arrays = tuple(arrays)
        self._dtypes = tuple(dtypes)

    @classmethod
    def of(cls, model: keras.Model, data, name: str = "images") -> "Samples":
        """Returns sample inputs of a model, after checking that it can take them.

        Args:
            model: A functional model, or a Sequential one that is built.
            data: Samples as the model takes them, in any of these forms: an array
                `(n, ...)`; of several inputs a tuple or list of arrays in their order,
                or a dictionary of arrays by their names; a `tf.data.Dataset`, a
                `keras.utils.PyDataset`, a generator or another iterable of batches of
                either, with labels or without: labels are ignored. An iterable is read
                once, up to `MOST_SAMPLES` samples. Or `Samples`.
            name: The caller's name of `data`, for messages.

        Raises:
            ValueError: There are no samples, their shapes are not those of the model's
                inputs, they are no numbers or not finite, or the inputs have different
                numbers of them; the model has no graph.
        """
        graph.check_built(model)
        if isinstance(data, Samples):
            arrays = data.arrays
            if len(arrays) != len(model.inputs):
                raise ValueError(_expected(name, model) + f"Received: {data!r}")
        else:
            arrays = _gather(data, model, name)
        arrays = [
            _checked(_called(name, index, model), array, tensor)
            for index, (array, tensor) in enumerate(
                zip(arrays, model.inputs, strict=True)
            )
        ]
        counts = {len(array) for array in arrays}
        if len(counts) > 1:
            raise ValueError(
                f"`{name}` must hold as many samples for every input. "
                f"Received: {[len(array) for array in arrays]}"
            )
        return cls(arrays, [tensor.dtype for tensor in model.inputs])

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __repr__(self) -> str:
        shapes = self.shapes[0] if len(self.arrays) == 1 else self.shapes
        return f"<{len(self)} samples of shape {shapes}>"

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of one sample, for every input."""
        return [array.shape[1:] for array in self.arrays]

    @property
    def inputs(self) -> np.ndarray | tuple[np.ndarray, ...]:
        """The array of the only input, or a tuple of those of all inputs."""
        return self.arrays[0] if len(self.arrays) == 1 else self.arrays

    def take(self, count: int) -> "Samples":
        """Returns the first samples.

        Args:
            count: How many, at most.
        """
        return Samples([array[:count] for array in self.arrays], self._dtypes)

    def split(self, seed: int | None = 0) -> tuple["Samples", "Samples"]:
        """Returns samples to fit to, and samples held out: a fifth, 500 at most.

        Args:
            seed: Seed of the choice.

        Raises:
            ValueError: There is only one sample.
        """
        if len(self) < 2:
            raise ValueError(
                "`images` must hold two images or more: some are held out. "
                f"Received: {len(self)}"
            )
        count = min(max(1, len(self) // _HELD_OUT), _MOST_HELD_OUT)
        order = np.random.default_rng(checks.seed(seed)).permutation(len(self))
        return self._chosen(order[count:]), self._chosen(order[:count])

    def batch_count(self, batch_size: int) -> int:
        """Returns the number of batches that `batches` yields.

        Args:
            batch_size: Samples per batch, at most; fewer where they are larger than
                50 photographs of 224 pixels.

        Raises:
            ValueError: `batch_size` is no positive integer.
        """
        checks.integer("batch_size", batch_size)
        largest = max(map(math.prod, self.shapes))
        size = min(batch_size, max(1, _NUMBERS // max(1, largest)))
        return -(-len(self) // size)

    def batches(self, batch_size: int) -> Iterator[list]:
        """Yields the samples in batches of nearly equal size, a tensor per input.

        Args:
            batch_size: As for `batch_count`.

        Raises:
            ValueError: `batch_size` is no positive integer.
        """
        count = self.batch_count(batch_size)
        for parts in zip(*(np.array_split(a, count) for a in self.arrays), strict=True):
            yield [
                keras.ops.convert_to_tensor(part, dtype=dtype)
                for part, dtype in zip(parts, self._dtypes, strict=True)
            ]

    def outputs(self, model: keras.Model, batch_size: int = _BATCH) -> list[np.ndarray]:
        """Returns a model's outputs, one array each, in the order of `model.outputs`.

        Args:
            model: The model that the samples are of, or one of the same inputs.
            batch_size: Samples per run.
        """
        inputs = keras.tree.pack_sequence_as(_structure(model), list(self.arrays))
        found = model.predict(inputs, batch_size=batch_size, verbose=0)
        return [np.asarray(output) for output in keras.tree.flatten(found)]

    def _chosen(self, indices) -> "Samples":
        return Samples([array[indices] for array in self.arrays], self._dtypes)


def warn_if_few(seen: Mapping[str, tuple[int, int]], samples: int) -> None:
    """Warns where a fit by least squares has more unknowns than it has seen answers.

    It is still the best fit to those, held back by a ridge, but may not carry over to
    other samples.

    Args:
        seen: By name of layer, the positions that were seen, and the unknowns of each
            filter.
        samples: The samples that they are of.
    """
    few = {name: each for name, each in seen.items() if each[0] < each[1]}
    if not few:
        return
    name, (positions, unknowns) = max(
        few.items(), key=lambda item: item[1][1] / item[1][0]
    )
    wanted = -(-unknowns * samples // positions)
    warnings.warn(
        f"`images` are few: {samples} of them give layer {name!r} {positions} answers "
        f"to fit {unknowns} numbers to, so that it is fitted to these images more than "
        f"to others. {wanted} images or more are enough for every layer.",
        stacklevel=3,
    )


def runnable(model: keras.Model) -> keras.Model:
    """Returns a copy of a model whose grouped convolutions run fast one by one.

    Names, and the order of the weights, are the model's.
    """

    def replace(layer):
        if type(layer) is keras.layers.Conv2D and layer.groups > 1:
            return GroupedConv2D.from_config(graph.configuration(layer))
        return None

    return graph.rewrite(model, replace)


def infer(operation: keras.Operation, args: tuple, kwargs: dict):
    """Calls an operation in inference mode, as `model(images, training=False)` does."""
    if "training" in kwargs:
        kwargs = {**kwargs, "training": False}
    return operation(*args, **kwargs)


def _gather(data, model, name) -> list:
    """What stands for the arrays of a model's inputs, in their order."""
    found = _by_input(data, model)
    if found is not None:
        return found
    batches = isinstance(data, Iterable) and not hasattr(data, "__array__")
    if not batches or isinstance(data, str | bytes | Mapping):
        raise ValueError(_expected(name, model) + f"Received: {_described(data)}")
    parts, count = [], 0
    for element in data:
        batch = _by_input(_without_labels(element, model), model)
        if batch is None or not all(map(_fits, batch, model.inputs)):
            raise ValueError(
                _expected(name, model)
                + f"Received: batch {len(parts)} is {_described(element)}"
            )
        parts.append([np.asarray(each) for each in batch])
        count += len(parts[-1][0])
        if count >= MOST_SAMPLES:
            break
    if not parts:
        raise ValueError(_expected(name, model) + "Received: no batch at all")
    sides = [{part.shape[1:] for part in each} for each in zip(*parts, strict=True)]
    if any(len(each) > 1 for each in sides):
        raise ValueError(
            f"`{name}` must be of one size in all batches. "
            f"Received: {[sorted(each) for each in sides]}"
        )
    return [np.concatenate(each)[:MOST_SAMPLES] for each in zip(*parts, strict=True)]


def _by_input(data, model) -> list | None:
    """Splits a structure by a model's inputs; `None` where it is something else."""
    inputs = model.inputs
    if isinstance(data, Mapping):
        for names in _names(model):
            if all(name in data for name in names):
                return [data[name] for name in names]
        return None
    if hasattr(data, "__array__"):
        return [data] if len(inputs) == 1 else None
    if not isinstance(data, tuple | list) or not data:
        return None
    if len(inputs) == 1:
        # Batches, with labels beside them perhaps, have a dimension more than the
        # images that a list may be of.
        first = data[0][0] if isinstance(data[0], tuple) else data[0]
        return None if np.ndim(_array(first)) > len(inputs[0].shape) - 1 else [data]
    whole = len(data) == len(inputs) and all(hasattr(x, "__array__") for x in data)
    return list(data) if whole else None


def _names(model) -> list[list[str]]:
    """Names that inputs go by: those of the tensors, and keys of a dictionary."""
    names = [[tensor.name for tensor in model.inputs]]
    structure = _structure(model)
    if isinstance(structure, Mapping):
        keys = {id(tensor): key for key, tensor in structure.items()}
        if len(keys) == len(model.inputs):  # no lists of tensors among them
            names.append([keys[id(tensor)] for tensor in model.inputs])
    return names


def _structure(model):
    """The structure of a model's inputs; a Sequential that ran never has none yet."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _without_labels(element, model):
    """The inputs of `(inputs, labels)` or `(inputs, labels, weights)`."""
    if not isinstance(element, tuple | list) or not element:
        return element
    several = len(model.inputs) > 1
    labelled = not several or isinstance(element[0], tuple | list | Mapping)
    return element[0] if labelled else element


def _array(value) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):  # lists of unequal lengths, ragged tensors
        return np.asarray(None)
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _fits(value, tensor) -> bool:
    shape = _array(value).shape
    return len(shape) == len(tensor.shape) and all(
        known in (None, side)
        for side, known in zip(shape[1:], tensor.shape[1:], strict=True)
    )


def _checked(name, value, tensor) -> np.ndarray:
    array = _array(value)
    if array.dtype.kind == "b":
        array = array.astype("uint8")
    array = checks.images(name, array, tensor.shape[1:])
    whole = keras.backend.standardize_dtype(tensor.dtype).startswith(("int", "uint"))
    if whole and array.dtype.kind == "f" and (array != np.floor(array)).any():
        raise ValueError(
            f"`{name}` must be integers: the model takes {tensor.dtype}. "
            f"Received: {array.dtype} with fractions"
        )
    return array


def _called(name, index, model) -> str:
    inputs = model.inputs
    return name if len(inputs) == 1 else f"{name}[{inputs[index].name!r}]"


def _expected(name, model) -> str:
    shapes = [
        f"(n, {', '.join('any' if side is None else str(side) for side in sides)})"
        for sides in (tensor.shape[1:] for tensor in model.inputs)
    ]
    if len(shapes) == 1:
        return (
            f"`{name}` must be an array of shape {shapes[0]}, or batches of such arrays"
            ", with labels or without. "
        )
    named = ", ".join(map(" ".join, zip(_names(model)[-1], shapes, strict=True)))
    return (
        f"`{name}` must be a tuple of arrays in the order of the model's inputs, a "
        f"dictionary of arrays by name, {named}, or batches of either, with labels or "
        "without. "
    )


def _described(data) -> str:
    if data is None:
        return "None"
    if isinstance(data, Mapping):
        return f"a dictionary of {list(data)}"
    if isinstance(data, tuple | list):
        return f"a {type(data).__name__} of {len(data)}"
    shape = f" of shape {tuple(data.shape)}" if hasattr(data, "__array__") else ""
    return f"a {type(data).__name__}{shape}"
