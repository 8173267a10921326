"""Layers fitted one by one to what the original network answers in their place.

A layer that is made cheaper answers otherwise, and so does all that comes after it.
Each next layer is therefore fitted from the inputs that the changed network gives it to
the responses of the original one (asymmetric reconstruction; Zhang et al., Accelerating
Very Deep Convolutional Networks, TPAMI 2016, section 3.3).
"""

import abc
from collections.abc import Collection, Sequence

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import patches, samples
from keras_roots.utils import progress

POSITIONS = 100  # of an image: neighbours are alike
MEMORY = 2**30  # bytes of values that are kept from one layer to the next


class LayerFit(abc.ABC):
    """What is to be known of a convolution or Dense layer, and how it changes then.

    Args:
        name: Name of the layer.
        original: The layer of the original network.
        changed: The layer of the changed network.
        seed: Seed of the choice of positions.
    """

    def __init__(
        self,
        name: str,
        original: keras.Layer,
        changed: keras.Layer,
        seed: int | None = 0,
    ):
        self.name, self.original, self.changed = name, original, changed
        self._rng = np.random.default_rng(seed)

    def see(self, wanted, found) -> None:
        """Takes up what the layer gets in one call, at some positions of each sample.

        Args:
            wanted: The inputs of the layer in the original network.
            found: Those in the changed one.

        Raises:
            ValueError: They, or responses, are not finite.
        """
        layer = self.changed
        chosen = patches.choose_positions(layer, found, POSITIONS, self._rng)
        seen = patches.patches_at(layer, found, chosen)
        given = seen
        if wanted is not found:
            given = patches.patches_at(self.original, wanted, chosen)
        answers = patches.respond(self.original, given)
        patches.check_finite(self.name, seen, answers)
        self.add(seen, answers)

    @abc.abstractmethod
    def add(self, seen: np.ndarray, answers: np.ndarray) -> None:
        """Adds samples.

        Args:
            seen: What the kernel of the changed layer meets,
                `[images, positions, height, width, channels]`.
            answers: What the original layer answers in their place, before its
                activation, `[images * positions, filters]`.
        """

    @abc.abstractmethod
    def apply(self) -> list[keras.Layer]:
        """Changes the weights of the layer, and returns all layers that changed."""


def reconstruct(
    original: keras.Model,
    changed: keras.Model,
    fits: Sequence[LayerFit],
    images: "samples.Samples",
    batch_size: int = 50,
    memory: int = MEMORY,
) -> None:
    """Fits layers of a network, in its order, to the responses of the original one.

    Both networks run side by side, batch by batch, up to the layer whose turn it is;
    what later layers need is kept, so that a fit of all layers takes about as long as
    one run of the networks. Where that is more than `memory`, as in the first layers of
    large images, the next layer starts again from what was kept last.

    Args:
        original: The original network.
        changed: A network of the same operations, by name; its layers are changed.
        fits: A fit per layer; several of one layer come one after the other.
        images: Sample images.
        batch_size: Images per run, at most.
        memory: Bytes of values that may be kept. More memory is needed for one batch.

    Raises:
        ValueError: Responses are not finite.
    """
    run = _Run(original, changed, images, batch_size, memory)
    for fit in progress(sorted(fits, key=run.place)):
        run.fit(fit)


def with_biases(model: keras.Model, names: Collection[str]) -> keras.Model:
    """Returns a copy of a model in which some layers have biases, if only zeros.

    If they have LoRA, it is merged into their kernels.

    Args:
        model: A functional or Sequential model.
        names: Names of the layers, convolutions or Dense layers.
    """
    others = {
        id(layer)
        for name, layer in graph.operations(model)
        if name in names and (layer.lora_enabled or not layer.use_bias)
    }

    def replace(layer):
        if id(layer) not in others:
            return None
        config, (kernel, *rest) = graph.merged(layer)
        new = layer.__class__.from_config(config | {"use_bias": True})
        if not layer.use_bias:
            rest.insert(0, np.zeros(kernel.shape[-1], "float32"))
        return graph.Replacement([new], [[kernel, *rest]])

    return graph.rewrite(model, replace)


class _Both:
    """A value in the original network, and in the changed one."""

    def __init__(self, wanted, found):
        self.wanted, self.found = wanted, found


class _Run:
    """Two networks of the same operations, run side by side up to some operation."""

    def __init__(self, original, changed, images, batch_size, memory):
        self._images, self._batch_size = images, batch_size
        self._limit = memory / images.batch_count(batch_size)
        self._program = graph.Program(changed)
        self._originals = {
            step.name: step.operation for step in graph.Program(original).steps
        }
        self._calls: dict[int, list[int]] = {}
        for index, step in enumerate(self._program.steps):
            self._calls.setdefault(id(step.operation), []).append(index)
        self._changed = {
            id(step.operation)
            for step in self._program.steps
            if not _same(step.operation, self._originals[step.name])
        }
        # Of every batch: the step that was reached, and what is known there.
        self._kept: dict[int, tuple[int, dict]] = {}

    def place(self, fit) -> int:
        """Index of the first call of a layer."""
        return self._calls[id(fit.changed)][0]

    def fit(self, fit):
        """Runs the networks up to all calls of a layer, and fits it."""
        first = self.place(fit)
        for index, batch in enumerate(self._images.batches(self._batch_size)):
            reached, values = self._kept.get(index) or (0, self._start(batch))
            values = dict(values)
            self._program.run(values, self._call, reached, first)
            if _bytes(values) <= self._limit:
                self._kept[index] = first, dict(values)
            reached = first
            for call in self._calls[id(fit.changed)]:
                self._program.run(values, self._call, reached, call)
                reached = call
                (args, _) = self._program.arguments(values, call)
                fit.see(args[0].wanted, args[0].found)
        self._changed.update(map(id, fit.apply()))

    def _start(self, batch):
        return self._program.start([_Both(each, each) for each in batch])

    def _call(self, name, operation, args, kwargs):
        found = samples.infer(operation, *_each(args, kwargs, "found"))
        both = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, _Both)]
        if id(operation) not in self._changed and all(
            each.wanted is each.found for each in both
        ):
            wanted = found
        else:
            original = self._originals[name]
            wanted = samples.infer(original, *_each(args, kwargs, "wanted"))
        return keras.tree.map_structure(_Both, wanted, found)


def _each(args, kwargs, which):
    return keras.tree.map_structure(
        lambda x: getattr(x, which) if isinstance(x, _Both) else x, (args, kwargs)
    )


def _same(operation, original) -> bool:
    """Tells whether two operations answer alike: layers with the same weights."""
    if not isinstance(operation, keras.Layer):
        return True
    weights = [layer.get_weights() for layer in (operation, original)]
    return len(weights[0]) == len(weights[1]) and all(
        np.array_equal(*pair) for pair in zip(*weights, strict=True)
    )


def _bytes(values) -> int:
    tensors = {
        id(tensor): tensor
        for both in values.values()
        if isinstance(both, _Both)
        for tensor in (both.wanted, both.found)
    }
    return sum(
        int(np.prod(tensor.shape))
        * np.dtype(keras.backend.standardize_dtype(tensor.dtype)).itemsize
        for tensor in tensors.values()
        if hasattr(tensor, "shape")
    )
