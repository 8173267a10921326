"""Follows channels through a model: which share an order, which filters can go."""

from collections.abc import Iterator, Sequence

import keras

# The modules of rules register them.
from keras_roots.graph import channel_rules, merge_rules, walk  # noqa: F401
from keras_roots.graph.signals import Signal, follow, is_signal
from keras_roots.graph.spaces import Spaces


def channel_spaces(model: keras.Model, input_shape: Sequence | None = None) -> Spaces:
    """Follows the channels of every tensor through a model.

    Every convolution without groups and every dense layer starts a space; what works
    on every channel by itself passes it on, sums and products merge those of their
    inputs, and concatenation puts them one after the other. What is not known to treat
    all channels alike pins the spaces that it touches. So do inputs and outputs of the
    model, filter groups, and layers with weights that are called more than once.

    The same walk finds the constant that each channel becomes if its filter is zero. A
    filter is kept where its channel reaches a sum or product of branches, a convolution
    with groups, an output of the model or an operation that is not known, and where the
    constant is not zero and meets zero padding.

    Args:
        model: A functional model, or a Sequential one that is built; models within it
            are entered. It stays as it is.
        input_shape: Shape of one input, without the batch, where the model's own has
            unknown sides, as for `profile`.

    Returns:
        A `Spaces`, which knows the model's layers by their identity.

    Raises:
        ValueError: The model has no graph, or `input_shape` is not one of its shapes.

    Example:
        >>> spaces = channel_spaces(keras_roots.RootNiN(root=1))
        >>> [spaces.size(space) for space in spaces if not spaces.pinned(space)]
        [192, 160, 96, 192, 192, 192, 192, 192]
    """
    walk.check_built(model)
    spaces = Spaces()

    def call(name, operation, args, kwargs):
        scope = name.rpartition("/")[0]
        signals, output = walk.infer(operation, args, kwargs, Signal)
        for signal in signals:
            if not f"{signal.scope}/".startswith(f"{scope}/" if scope else ""):
                spaces.keep(signal.channels, f"it enters the model {scope}")
        operands = list(_operands(args, kwargs))
        known = follow(spaces, operation, signals, operands, output)
        if known is None or known.constants is None:
            for signal in signals:
                spaces.keep(signal.channels, f"{operation.name} needs it")
        if known:
            return Signal(output, scope, *known)
        reason = f"{name} ({type(operation).__name__}) may need its order"
        for signal in signals:
            spaces.pin(signal.channels, reason)
        return keras.tree.map_structure(
            lambda spec: _fixed(spaces, spec, scope, reason), output
        )

    inputs = [
        _fixed(spaces, spec, "", "it is an input of the model")
        for spec in walk.symbolic_inputs(model, input_shape)
    ]
    for signal in walk.walk(model, inputs, call):
        spaces.fix(signal.channels, "it is an output of the model")
    return spaces


def _operands(args, kwargs) -> Iterator:
    """Yields what an operation is called on; a list of constants is one of them."""
    for value in (*args, *kwargs.values()):
        listed = isinstance(value, list | tuple)
        if listed and any(map(is_signal, value)):
            yield from value
        else:
            yield value


def _fixed(spaces, spec, scope, reason) -> Signal:
    """Returns a tensor whose last axis, its channels as far as is known, is pinned."""
    if len(spec.shape) < 2 or spec.shape[-1] is None:
        return Signal(spec, scope)
    channels = spaces.add(spec.shape[-1], reason)
    return Signal(spec, scope, -1, (channels,))
