"""Which operation of a model follows which."""

import collections

import keras

from keras_roots.graph.walk import check_built, is_graph


class Connections:
    """Which operation follows which in a model, and in the models within it.

    Operations that are called more than once have no one place, and count as absent.

    Args:
        model: A functional model, or a Sequential one that is built.

    Raises:
        ValueError: The model has no graph.
    """

    def __init__(self, model: keras.Model):
        self._sources: dict[int, list] = {}
        self._followers: dict[int, list] = {}
        self._add(model)

    def sources(self, operation) -> list[keras.Operation]:
        """Returns the operations whose outputs an operation takes, in their order."""
        return self._sources.get(id(operation), [])

    def follower(self, operation) -> keras.Operation | None:
        """Returns the only operation that takes an operation's output, if it is so.

        An output of the model counts as taken by something else.
        """
        followers = self._followers.get(id(operation), [])
        if len(followers) != 1 or not self.sources(operation):
            return None
        return followers[0]

    def _add(self, model):
        check_built(model)
        graph = keras.Function(model.inputs, model.outputs)
        calls = collections.Counter()
        for nodes in graph._nodes_by_depth.values():
            for node in nodes:
                operation = node.operation
                if node.is_input:
                    continue
                calls[id(operation)] += 1
                sources = [x._keras_history.operation for x in node.input_tensors]
                self._sources[id(operation)] = sources
                for source in sources:
                    self._followers.setdefault(id(source), []).append(operation)
                if is_graph(operation):
                    self._add(operation)
        for output in graph.outputs:
            source = output._keras_history.operation
            self._followers.setdefault(id(source), []).append(None)
        for key, count in calls.items():
            if count > 1:
                del self._sources[key]
