"""The operations of a model one after the other, models within it entered."""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import keras


def is_graph(layer) -> bool:
    """Tells whether a layer is a model whose layers can be reached by its graph.

    A functional model of a class with a `call` of its own may compute something else.
    """
    if not isinstance(layer, keras.Model) or type(layer).call is keras.Model.call:
        return False
    if type(layer).call.__module__.partition(".")[0] != "keras":
        return False
    return isinstance(layer, keras.Sequential) or hasattr(layer, "operations")


def check_graph(model: keras.Model) -> None:
    """Checks that a model is functional or Sequential.

    Raises:
        ValueError: It is subclassed, or no model.
    """
    if not is_graph(model):
        raise ValueError(
            "`model` must be a functional or Sequential model: the layers of a "
            "subclassed model, or of one with a `call` of its own, cannot be reached "
            "through its graph. One whose call uses layers and keras.ops alone becomes "
            "functional by keras.Model(inputs, model.call(inputs)), with inputs = "
            "keras.Input(shape of one input). "
            f"Received: model={model!r}"
        )


def check_built(model: keras.Model) -> None:
    """Checks that a model has a graph already.

    Raises:
        ValueError: It is subclassed, no model, or a Sequential that is not built.
    """
    check_graph(model)
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            "`model` is a Sequential model that is not built. Give it an Input or "
            f"call `build` with an input shape. Received: model={model.name!r}"
        )


class Step(NamedTuple):
    """A call of an operation in a model.

    Attributes:
        name: Name of the operation, as from `operations`.
        operation: The operation.
        arguments: What it is called on, with Keras's tensors.
        places: By `id` of those tensors, where their values are kept.
        outputs: Where the values of its outputs are kept.
    """

    name: str
    operation: keras.Operation
    arguments: tuple[tuple, dict]
    places: dict[int, int]
    outputs: tuple[int, ...]


class Program:
    """The operations of a model one after the other: a walk that can stop and go on.

    What a walk has computed is a dictionary of values that later steps need; a copy of
    it is enough to go on from there, more than once.

    Args:
        model: A functional model, or a Sequential one that is built.

    Attributes:
        steps: Calls of operations, those of models within the model too.
        outputs: Where the values of the model's outputs are kept.

    Raises:
        ValueError: The model has no graph.
    """

    def __init__(self, model: keras.Model):
        self.steps: list[Step] = []
        self._constants: dict[int, object] = {}
        self._count = 0
        check_built(model)
        self._inputs = self._new(len(model.inputs))
        self.outputs = self._add(model, self._inputs, "")
        # The step after which nothing needs a value.
        last = {
            place: index
            for index, step in enumerate(self.steps)
            for place in (*step.outputs, *step.places.values())
        }
        kept = {*self.outputs, *self._constants}
        self._freed: list[list[int]] = [[] for _ in self.steps]
        for place, index in last.items():
            if place not in kept:
                self._freed[index].append(place)

    def start(self, inputs) -> dict[int, object]:
        """Returns the values before the first step.

        Args:
            inputs: As for `walk`.
        """
        flat = zip(self._inputs, keras.tree.flatten(inputs), strict=True)
        return {**self._constants, **dict(flat)}

    def run(
        self, values: dict[int, object], call: Callable, first: int, end: int
    ) -> None:
        """Goes on with a walk.

        Args:
            values: What is known before step `first`; before step `end` then.
            call: As for `walk`.
            first: Index of the first step to make.
            end: Index of the step to stop before.
        """
        for index in range(first, end):
            step = self.steps[index]
            args, kwargs = self.arguments(values, index)
            outputs = call(step.name, step.operation, args, kwargs)
            flat = keras.tree.flatten(outputs)
            values.update(zip(step.outputs, flat, strict=True))
            for place in self._freed[index]:
                values.pop(place, None)

    def arguments(self, values: dict[int, object], index: int) -> tuple[tuple, dict]:
        """Returns what the operation of a step is called on.

        Args:
            values: What is known before it.
            index: Index of the step.
        """
        step = self.steps[index]
        return keras.tree.map_structure(
            lambda x: (
                values[step.places[id(x)]] if isinstance(x, keras.KerasTensor) else x
            ),
            step.arguments,
        )

    def _new(self, count) -> tuple[int, ...]:
        self._count += count
        return tuple(range(self._count - count, self._count))

    def _add(self, model, inputs, prefix) -> tuple[int, ...]:
        """Adds the steps of a model, in the order in which Keras makes them."""
        graph = keras.Function(model.inputs, model.outputs)
        places = dict(zip(map(id, graph.inputs), inputs, strict=True))
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                operation = node.operation
                arguments = node.arguments.args, node.arguments.kwargs
                args, kwargs = positional(operation, *arguments)
                name = f"{prefix}{operation.name}"
                if is_graph(operation):
                    given = [
                        self._place(x, places) for x in keras.tree.flatten(args[0])
                    ]
                    outputs = self._add(operation, given, f"{name}/")
                else:
                    own = {id(x): places[id(x)] for x in node.input_tensors}
                    outputs = self._new(len(node.outputs))
                    step = Step(name, operation, (args, kwargs), own, outputs)
                    self.steps.append(step)
                places.update(zip(map(id, node.outputs), outputs, strict=True))
        return tuple(places[id(x)] for x in graph.outputs)

    def _place(self, value, places) -> int:
        """Where a value that a model within the model is called on is kept."""
        if isinstance(value, keras.KerasTensor):
            return places[id(value)]
        (place,) = self._new(1)
        self._constants[place] = value
        return place


def positional(
    operation: keras.Operation, args: tuple, kwargs: dict
) -> tuple[tuple, dict]:
    """Puts in first place what an operation is called on, if that was given by name.

    Args:
        operation: The operation.
        args: Its positional arguments.
        kwargs: Its named arguments, `inputs` perhaps among them.
    """
    if args:
        return args, kwargs
    first = next(iter(inspect.signature(operation.call).parameters), None)
    if first not in kwargs:
        return args, kwargs
    return (kwargs[first],), {k: v for k, v in kwargs.items() if k != first}
