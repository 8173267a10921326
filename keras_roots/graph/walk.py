"""The graph of a model: its operations, and running them one by one."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import keras

from keras_roots.graph.program import Program, check_built, is_graph
from keras_roots.utils import checks


def operations(model: keras.Model) -> Iterator[tuple[str, keras.Operation]]:
    """Yields the layers and other operations of a model, with those of nested models.

    Each comes once, in the order of the graph, inputs left out. Its name follows those
    of the models that it is nested in: `"outer/inner"`.

    Args:
        model: A functional model, or a Sequential one that is built.

    Raises:
        ValueError: The model is neither.
    """
    check_built(model)
    for operation in keras.Function(model.inputs, model.outputs).operations:
        if is_graph(operation):
            for name, inner in operations(operation):
                yield f"{operation.name}/{name}", inner
        elif not isinstance(operation, keras.layers.InputLayer):
            yield operation.name, operation


def walk(
    model: keras.Model,
    inputs,
    call: Callable[[str, keras.Operation, tuple, dict], object],
) -> list:
    """Runs a model with a function in the place of its operations.

    Models within it are entered. Values that no later operation needs are freed, so
    that a walk over tensors takes little more memory than the largest layers do.
    Nothing is added to the model, unlike by a call of it on symbolic tensors.

    Args:
        model: A functional model, or a Sequential one that is built.
        inputs: What stands for the model's inputs, in their order or structure:
            tensors, or specifications of them.
        call: Function of an operation's name (as from `operations`), the operation, and
            its positional and named arguments. It returns what stands for the outputs.

    Returns:
        What stands for the model's outputs, in their order.

    Raises:
        ValueError: The model has no graph.
    """
    program = Program(model)
    values = program.start(inputs)
    program.run(values, call, 0, len(program.steps))
    return [values[place] for place in program.outputs]


def infer(operation: keras.Operation, args, kwargs, kind: type) -> tuple[list, object]:
    """Infers what an operation returns for arguments that stand for tensors.

    Args:
        operation: The operation.
        args: Its positional arguments, as in `walk`.
        kwargs: Its named arguments.
        kind: Type of what stands for a tensor, with its specification as `spec`.

    Returns:
        What stands for tensors among the arguments, and the specification of the
        output.
    """
    found = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, kind)]
    args, kwargs = keras.tree.map_structure(
        lambda x: x.spec if isinstance(x, kind) else x, (args, kwargs)
    )
    return found, operation.compute_output_spec(*args, **kwargs)


class _Noted:
    """A specification of a tensor, and a note on it."""

    def __init__(self, spec, note):
        self.spec = spec
        self.note = note


def annotate(
    model: keras.Model,
    inputs,
    note,
    step: Callable[[str, keras.Operation, keras.KerasTensor, list], object],
) -> list:
    """Walks over the specifications of a model's tensors, with a note on each.

    Args:
        model: A functional model, or a Sequential one that is built.
        inputs: Specifications of its inputs, with all sides known.
        note: The note on every input.
        step: Function of an operation's name, the operation, the specification of its
            output, and the notes on its inputs. It returns the note on the output.

    Returns:
        The notes on the model's outputs, in their order.

    Raises:
        ValueError: The model has no graph.
    """

    def call(name, operation, args, kwargs):
        noted, output = infer(operation, args, kwargs, _Noted)
        found = step(name, operation, output, [x.note for x in noted])
        return keras.tree.map_structure(lambda spec: _Noted(spec, found), output)

    noted = [_Noted(spec, note) for spec in keras.tree.flatten(inputs)]
    return [output.note for output in walk(model, noted, call)]


def symbolic_inputs(
    model: keras.Model, input_shape: Sequence | None = None
) -> list[keras.KerasTensor]:
    """Returns the specification of every input, unknown sides filled in.

    Args:
        model: A functional model, or a Sequential one that is built.
        input_shape: Shape of an image, or one for every input, without the batch:
            fills in sides that are unknown.

    Raises:
        ValueError: `input_shape` is not one of the model's input shapes.
    """
    own = [tensor.shape[1:] for tensor in model.inputs]
    given = own if input_shape is None else input_shape
    if not isinstance(given, Iterable) or getattr(given, "ndim", 1) < 1:
        given = ()
    elif not any(isinstance(side, Sequence) for side in given):
        given = [given]
    if len(given) != len(own) or not all(map(_fits, given, own)):
        raise ValueError(
            f"`input_shape` must fill in the unknown sides of the model's input shape, "
            f"{own[0] if len(own) == 1 else own}. Received: input_shape={input_shape}"
        )
    return [
        keras.KerasTensor((tensor.shape[0], *shape), dtype=tensor.dtype)
        for tensor, shape in zip(model.inputs, given, strict=True)
    ]


def _fits(given, own) -> bool:
    return (
        isinstance(given, Iterable)
        and len(given) == len(own)
        and all(
            side == known or (known is None and _is_side(side))
            for side, known in zip(given, own, strict=True)
        )
    )


def _is_side(side) -> bool:
    return side is None or (checks.is_integer(side) and side > 0)
