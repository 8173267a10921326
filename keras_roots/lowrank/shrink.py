"""Progressive shrinking: lower ranks for a model that is decomposed already."""

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.convolutions import KERNEL_LAYERS, Convolution
from keras_roots.graph import symbolic_inputs
from keras_roots.lowrank import ranks
from keras_roots.lowrank.optimizer_state import Change, carry_over
from keras_roots.lowrank.schemes import CROSS_FILTER, SEPARABLE
from keras_roots.utils import checks


def shrink(model: keras.Model, error: float) -> keras.Model:
    """Lowers the ranks of decomposed layers as far as an error allows.

    As the reference solver of Wen et al., Force Regularization (ICCV 2017), does at
    intervals of training: what the two convolutions compute together is analysed again,
    and the first keeps the leading directions of it only, which are new combinations
    of its filters.

    If the model is compiled, so is the copy, and training goes on: the optimiser has
    the same settings, steps taken and learning rate, and its moments change with the
    weights. Gradients are carried to the new weights as the chain rule does it, means
    of squared gradients as if those of different filters were independent. Moments of
    kinds unknown here become their mean, in the layers that shrink.

    Args:
        model: A model that `decompose` made, trained since or not. It stays as it is.
        error: Bound on the squared error of each pair relative to its energy now,
            between 0 and 1.

    Returns:
        A copy of the model. Layers that the bound does not let shrink are the same,
        and so are those with `trainable=False`.

    Raises:
        ValueError: `error` is out of bounds, the model is subclassed or has no
            decomposed convolutions, or weights are not finite.

    Example:
        >>> from keras_roots import RootConvNet, decompose
        >>> small = decompose(RootConvNet(), ranks={"conv2": 12})
        >>> shrink(small, 0.5).get_layer("conv2_basis").filters < 12
        True
    """
    error = checks.part("error", error)
    graph.check_built(model)
    pairs = [pair for pair in find_pairs(model) if pair[0].trainable]
    if not pairs:
        raise ValueError(
            "`model` must have convolutions that `decompose` has decomposed: a layer "
            "'conv' became 'conv_basis' (or 'conv_vertical') and 'conv'. "
            f"Received: model={model.name!r} without such a pair"
        )
    changes: dict[int, Change] = {}
    for first, second in pairs:
        change = _change(first, second, error)
        if change is not None:
            changes[id(first)], changes[id(second)] = change

    def replace(layer):
        change = changes.get(id(layer))
        if change is None:
            return None
        config, (kernel, *others) = graph.merged(layer)
        kernel = change.apply(kernel.astype("float64"), change.weights)
        # The constraint was on a kernel of another shape.
        config["kernel_constraint"] = None
        if change.filters is not None:
            width = "units" if isinstance(layer, keras.layers.Dense) else "filters"
            config[width] = change.filters
        new = layer.__class__.from_config(config)
        return graph.Replacement([new], [[kernel, *others]])

    small = graph.rewrite(model, replace)
    if getattr(model, "compiled", False):
        kernels_changed = {
            id(layer.kernel): changes[id(layer)]
            for pair in pairs
            for layer in pair
            if id(layer) in changes
        }
        _compile(model, small, kernels_changed)
    return small


def find_pairs(
    model: keras.Model,
) -> list[tuple[keras.Layer, keras.Layer]]:
    """Returns the pairs of convolutions or Dense layers that `decompose` made of one.

    A pair has names as `decompose` gives them and the same groups; the first one has
    neither bias nor activation, and what it computes goes to the second alone.

    Args:
        model: A functional or Sequential model.
    """
    makers: dict[int, keras.Operation] = {}  # by id of what they made
    consumers: dict[int, list[keras.Operation | None]] = {}  # by id of the maker
    sources: dict[int, list[keras.Operation | None]] = {}  # by id of the consumer
    tensors = []  # kept, so that no two of them share an id

    def use(arguments, consumer):
        for tensor in keras.tree.flatten(arguments):
            if isinstance(tensor, keras.KerasTensor):
                maker = makers.get(id(tensor))
                consumers.setdefault(id(maker), []).append(consumer)
                sources.setdefault(id(consumer), []).append(maker)

    def call(name, operation, args, kwargs):
        use((args, kwargs), operation)
        outputs = operation.compute_output_spec(*args, **kwargs)
        for tensor in keras.tree.flatten(outputs):
            makers[id(tensor)] = operation
            tensors.append(tensor)
        return outputs

    use(graph.walk(model, symbolic_inputs(model), call), None)
    return [
        (first, second)
        for first in {id(maker): maker for maker in makers.values()}.values()
        for second in consumers.get(id(first), [])[:1]
        if all(consumer is second for consumer in consumers[id(first)])
        and all(source is first for source in sources[id(second)])
        and _are_pair(first, second)
    ]


def _are_pair(first, second) -> bool:
    if not any(
        graph.is_a(first, kind) and graph.is_a(second, kind) for kind in KERNEL_LAYERS
    ):
        return False
    one, other = Convolution.of(first), Convolution.of(second)
    scheme = next(
        (
            scheme
            for scheme in (CROSS_FILTER, SEPARABLE)
            if first.name.startswith(f"{second.name}_{scheme.suffix}")
        ),
        None,
    )
    if scheme is None or one.groups != other.groups:
        return False
    sizes = one.kernel_shape[:2], other.kernel_shape[:2]
    return (
        not first.use_bias
        and first.activation is keras.activations.linear
        and sizes == scheme.split(tuple(map(max, *sizes)))
    )


def _change(first, second, error) -> tuple[Change, Change] | None:
    """Returns the changes of both kernels, `None` if the rank stays."""
    groups = Convolution.of(first).groups
    basis = convolutions.to_matrices(
        convolutions.read_kernels(first.name, first), groups
    )
    # [groups, rank, whatever a filter of the first one adds to]
    weights = _by_row(convolutions.read_kernels(second.name, second), groups)
    triangular = np.linalg.qr(basis)[1]
    left, values, _ = np.linalg.svd(triangular @ weights, full_matrices=False)
    rank = basis.shape[-1]
    energies = (values**2).sum(axis=0)
    fits = ranks.within(ranks.relative_errors(energies), error)
    kept = max(1, int(np.argmax(fits)))
    if kept >= rank:
        return None
    # New filters are A R: their span is that of the leading directions. Columns of R
    # are orthonormal, so that filters keep their scale, and with it the step that
    # suits them. P is the projection on it along the rest: P R = 1.
    leading = left[..., :kept]
    directions, shares = np.linalg.qr(np.linalg.pinv(triangular) @ leading)
    projection = shares @ leading.transpose(0, 2, 1) @ triangular
    return (
        Change(_combine_filters, directions, _transposed(projection), groups * kept),
        Change(_combine_channels, projection, _transposed(directions)),
    )


def _by_row(kernel, groups) -> np.ndarray:
    """Returns a kernel as matrices: per group, a row for each input channel."""
    height, width, channels, filters = kernel.shape
    parts = kernel.reshape(height, width, channels, groups, filters // groups)
    return parts.transpose(3, 2, 0, 1, 4).reshape(groups, channels, -1)


def _combine_filters(kernel, matrices) -> np.ndarray:
    """Multiplies a kernel along its filters by `[groups, old, new]`."""
    groups, old, _ = matrices.shape
    parts = kernel.reshape(*kernel.shape[:-1], groups, old)
    combined = np.einsum("...go,gon->...gn", parts, matrices)
    return combined.reshape(*kernel.shape[:-1], -1)


def _combine_channels(kernel, matrices) -> np.ndarray:
    """Multiplies a kernel along its input channels by `[groups, new, old]`."""
    *size, old, filters = kernel.shape
    parts = kernel.reshape(*size, old, len(matrices), -1)
    combined = np.einsum("gno,...ogf->...ngf", matrices, parts)
    return combined.reshape(*size, -1, filters)


def _transposed(matrices):
    return matrices.transpose(0, 2, 1)


def _compile(model, small, changes):
    """Compiles the small model as the model is, its optimiser in the same state."""
    # What `compile` was called with: `get_compile_config` would serialise it, which
    # not every loss function can be.
    settings = dict(model._compile_config.config)
    optimizer = model.optimizer
    settings["optimizer"] = optimizer.__class__.from_config(optimizer.get_config())
    small.compile(**settings)
    if optimizer.built:
        small.optimizer.build(small.trainable_variables)
        carry_over(
            optimizer,
            small.optimizer,
            list(
                zip(model.trainable_variables, small.trainable_variables, strict=True)
            ),
            changes,
        )
