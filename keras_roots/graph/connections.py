"""Which operation of a model follows which."""

import collections
from collections.abc import Callable

import keras

from keras_roots.graph.program import check_built, is_graph


def output_layers(model: keras.Model) -> list[keras.Operation]:
    """Returns the layers that make a model's outputs.

    Args:
        model: A functional or Sequential model.

    Returns:
        A layer per output, in the order of the outputs; where a model within the model
        makes one, that model's own.
    """
    made_by = [tensor._keras_history.operation for tensor in model.outputs]
    return [
        inner
        for layer in made_by
        for inner in (output_layers(layer) if is_graph(layer) else [layer])
    ]


def has_kernel(operation: keras.Operation) -> bool:
    """Tells whether it has weights that are no vectors: those of normalisations are."""
    return any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ()))


def heads(model: keras.Model) -> list[keras.Layer]:
    """Returns the last layers with a kernel before a model's outputs: the classifiers.

    Args:
        model: A functional model, or a Sequential one that is built.

    Raises:
        ValueError: The model has no graph.
    """
    connections = Connections(model)
    found = []
    pending = output_layers(model)
    while pending:
        operation = pending.pop(0)
        if is_graph(operation):
            pending[:0] = output_layers(operation)
        elif has_kernel(operation):
            found += [operation] * (operation not in found)
        else:
            pending[:0] = connections.sources(operation)
    return found


class Connections:
    """Which operation follows which in a model, and in the models within it.

    Operations that are called more than once have no one place, and count as absent.

    Args:
        model: A functional model, or a Sequential one that is built.

    Raises:
        ValueError: The model has no graph.
    """

    def __init__(self, model: keras.Model):
        self._nodes: dict[int, list] = collections.defaultdict(list)
        self._followers: dict[int, list] = collections.defaultdict(list)
        self._entered: set[int] = set()
        self._add(model)

    def sources(self, operation) -> list[keras.Operation]:
        """Returns the operations whose outputs an operation takes, in their order."""
        nodes = self._nodes.get(id(operation), [])
        if len(nodes) != 1:
            return []
        return [tensor._keras_history.operation for tensor in nodes[0].input_tensors]

    def follower(self, operation) -> keras.Operation | None:
        """Returns the only operation that takes an operation's output, if it is so.

        An output of the model counts as taken by something else.
        """
        followers = self._followers.get(id(operation), [])
        if len(followers) != 1 or not self.sources(operation):
            return None
        return followers[0] if self.sources(followers[0]) else None

    def path(self, first, last: str) -> list[keras.Operation]:
        """Returns the operations from one to another, each taken by the next alone.

        Those may be called more than once, one after the other every time.

        Args:
            first: The first of them.
            last: Name of the last.

        Returns:
            The operations, `first` too. Empty if there is no such way.
        """
        found = [first]
        while found[-1].name != last:
            followers = self._followers.get(id(found[-1]), [])
            following = followers[0] if followers else None
            if following is None or any(each is not following for each in followers):
                return []
            if any(
                tensor._keras_history.operation is not found[-1]
                for node in self._nodes[id(following)]
                for tensor in node.input_tensors
            ):
                return []
            found.append(following)
        return found

    def input(self, operation) -> keras.KerasTensor | None:
        """Returns an operation's input, if all calls have one, of one shape and type.

        Calls may be of different tensors: only shape and type are those of each.
        """
        return self._common(operation, lambda node: node.input_tensors)

    def output(self, operation) -> keras.KerasTensor | None:
        """Returns an operation's output, as `input` does its input."""
        return self._common(operation, lambda node: node.outputs)

    def _common(self, operation, tensors: Callable):
        found = [list(tensors(node)) for node in self._nodes.get(id(operation), [])]
        if not found or any(len(each) != 1 for each in found):
            return None
        kinds = {(tensor.shape, tensor.dtype) for (tensor,) in found}
        return found[0][0] if len(kinds) == 1 else None

    def _add(self, model):
        if id(model) in self._entered:
            return
        self._entered.add(id(model))
        check_built(model)
        graph = keras.Function(model.inputs, model.outputs)
        for nodes in graph._nodes_by_depth.values():
            for node in nodes:
                operation = node.operation
                if node.is_input:
                    continue
                self._nodes[id(operation)].append(node)
                for tensor in node.input_tensors:
                    source = tensor._keras_history.operation
                    self._followers[id(source)].append(operation)
                if is_graph(operation):
                    self._add(operation)
        for output in graph.outputs:
            self._followers[id(output._keras_history.operation)].append(None)
