"""Names of a model's inputs and outputs in SavedModels and LiteRT files."""

import re
from collections.abc import Iterable, Sequence

import keras
import numpy as np

ONE_INPUT = "images"


def input_names(model: keras.Model) -> list[str]:
    """Returns the names of a model's inputs in its files, in their order.

    The only input is called `images`. Several have the names of the model's inputs
    (`keras.Input(name=...)`), where letters other than ASCII's, digits and `_` become
    `_`. Neither list nor dictionary of inputs changes that.

    Args:
        model: A functional model, or a Sequential one that is built.

    Raises:
        ValueError: Two inputs have one name.
    """
    if len(model.inputs) == 1:
        return [ONE_INPUT]
    names = [re.sub(r"\W", "_", tensor.name, flags=re.ASCII) for tensor in model.inputs]
    names = [f"_{name}" if name[:1].isdigit() else name for name in names]
    if len(set(names)) < len(names):
        raise ValueError(
            "`model` must have inputs of different names, by letters, digits and '_': "
            f"they name the inputs of the file. Received: model={model.name!r} with "
            f"inputs {[tensor.name for tensor in model.inputs]}"
        )
    return names


def output_names(model: keras.Model) -> list[str]:
    """Returns the names of a model's outputs in its files, in their order.

    One output, or those of a list, are `output_0`, `output_1` and so on; those of a
    dictionary keep its keys. Structures within them add to the name, behind a slash:
    `{"a": x, "pyramid": [y, z]}` has the outputs `a`, `pyramid/0` and `pyramid/1`.
    Where sorting these would change their order, all outputs are `output_0` and so on.

    Args:
        model: As for `input_names`.
    """
    names = []
    for path, _ in keras.tree.flatten_with_path(_structure(model)):
        first, *others = path or (0,)
        first = first if isinstance(first, str) else f"output_{first}"
        names.append("/".join([first, *map(str, others)]))
    if len(set(names)) == len(names) and in_order(names) == names:
        return names
    return [f"output_{index}" for index in range(len(names))]


def in_order(names: Iterable[str]) -> list[str]:
    """Returns the names of a file's outputs in the order of the model's outputs.

    Keras sorts dictionaries by their keys, so that names alone tell it.

    Args:
        names: Names by `output_names`, in any order.
    """
    split = sorted(name.split("/") for name in names)
    listed = [re.fullmatch(r"output_(\d+)", first) for first, *_ in split]
    if all(listed):
        split.sort(key=lambda parts: (int(parts[0].removeprefix("output_")), parts[1:]))
    return ["/".join(parts) for parts in split]


def by_name(model: keras.Model, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns samples as the files of a model take them.

    Args:
        model: As for `input_names`.
        arrays: An array per input of the model, in their order.
    """
    return dict(zip(input_names(model), arrays, strict=True))


def packed(model, values: Sequence):
    """Returns values for the inputs of a model in the structure that it takes.

    Args:
        model: A model, of Keras or tf_keras.
        values: A value per input, in their order.
    """
    if isinstance(model, keras.Sequential) or not isinstance(model, keras.Model):
        return values[0]
    return keras.tree.pack_sequence_as(model.input, list(values))


def _structure(model):
    """The structure of a model's outputs; a Sequential model has one."""
    return model.outputs[0] if isinstance(model, keras.Sequential) else model.output
