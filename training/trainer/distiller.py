"""Distillation without labels: a student learns what its teacher answers."""

import math
import sys
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from keras_roots import graph
from keras_roots.convolutions import Samples, runnable
from keras_roots.export import is_softmax
from keras_roots.training.trainer.distillation import Inference, divergence
from keras_roots.utils import checks

_SCALED = 50  # samples that the variance of outputs and features is taken from
_WARMUP = 10  # one of so many steps: Adam's first steps know little of the gradients
_LEAST = 1e-30  # of a probability, whose logarithm is taken


def distiller(
    images,
    epochs: int = 5,
    *,
    features: Sequence[str] = (),
    temperature: float = 2.0,
    learning_rate: float = 3e-4,
    batch_size: int = 32,
    seed: int = 0,
    verbose: bool | None = None,
) -> Callable[[keras.Model, keras.Model], keras.Model]:
    """Returns a function that trains a student on a teacher's answers, without labels.

    The student is matched as it is deployed: dropout and augmentation are off, and
    BatchNormalization normalises by its moving statistics, so that a student that
    equals its teacher is at a distance of 0. The distance is, for an output that is a
    distribution over the last axis, as from a softmax, the Kullback-Leibler divergence
    of the softened distributions (Hinton et al., 2015); for any other output the
    squared error over the variance of the teacher's (its map, boxes, embedding); the
    same for features. Outputs count equally, and so do features.

    Args:
        images: Samples as the networks take them: an array, a tuple or dictionary of
            arrays for several inputs, a `tf.data.Dataset` or an iterable of batches, of
            which the first 1,000 samples are read. A fifth, 500 at most, is held out.
            They are not varied.
        epochs: Passes over the other samples.
        features: Names of layers of both networks whose outputs are matched too.
        temperature: What softens distributions.
        learning_rate: Highest rate of Adam; after a warm-up of a tenth of the steps it
            falls to 0 along half a cosine.
        batch_size: Samples per step.
        seed: Seed of the samples' split and order.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        A function `(student, teacher) -> student` for functional or Sequential networks
        of the same inputs and outputs. What it returns has the weights of the epoch
        with the least distance on the samples held out; the student's own, if no epoch
        was better. It raises a ValueError where the networks or the samples do not fit,
        and a FloatingPointError where training diverges.

    Raises:
        ValueError: An argument is impossible.

    Example:
        >>> train = keras_roots.training.distiller(images, epochs=10)
        >>> small = keras_roots.compress(model, images, 0.5, finetune=train)
    """
    epochs = checks.integer("epochs", epochs)
    checks.number("temperature", temperature, above=0)
    checks.number("learning_rate", learning_rate, above=0)
    batch_size = checks.integer("batch_size", batch_size)
    checks.seed(seed)
    named = isinstance(features, list | tuple)
    if not named or not all(isinstance(name, str) for name in features):
        raise ValueError(
            "`features` must be names of layers, a tuple. "
            f"Received: features={features!r}"
        )
    verbose = sys.stdout.isatty() if verbose is None else verbose

    def distill(student: keras.Model, teacher: keras.Model) -> keras.Model:
        _check(student, teacher, features)
        fitted, held_out = Samples.of(teacher, images).split(seed)
        trained, fixed = runnable(student), runnable(teacher)
        fixed.trainable = False
        matching = _matching(trained, fixed, features, temperature, fitted)
        steps = max(1, len(fitted) // batch_size)
        warmup = steps * epochs // _WARMUP
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            steps * epochs - warmup,
            warmup_target=learning_rate,
            warmup_steps=warmup,
        )
        matching.compile(keras.optimizers.Adam(rate))
        best = _Best(held_out.arrays, batch_size, echo=not verbose)
        matching.fit(
            _batches(fitted.arrays, steps, epochs, seed),
            steps_per_epoch=steps,
            shuffle=False,  # the batches are shuffled already
            epochs=epochs,
            callbacks=[best],
            verbose=1 if verbose else 0,
        )
        distilled = graph.rewrite(student, lambda layer: None)
        distilled.set_weights(trained.get_weights())
        return distilled

    return distill


class _Matching(keras.Model):
    """Computes what student and teacher answer; its loss is the distance."""

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Returns the mean distance of outputs, plus that of features."""
        answers, count = keras.tree.flatten(y_pred), len(self.distances)
        found = [
            ops.mean(distance(student, teacher))
            for distance, student, teacher in zip(
                self.distances, answers[:count], answers[count:], strict=True
            )
        ]
        outputs, features = found[: self.outputs_of_each], found[self.outputs_of_each :]
        loss = sum(outputs) / len(outputs)
        return loss + sum(features) / len(features) if features else loss


def _matching(student, teacher, features, temperature, samples) -> keras.Model:
    inputs = [
        keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name)
        for x in teacher.inputs
    ]
    parts = [_with_features(model, features) for model in (student, teacher)]
    answers = [
        Inference(part, dtype="float32", name=name)(inputs)
        for part, name in zip(parts, ("student", "teacher"), strict=True)
    ]
    matching = _Matching(inputs, answers, name="matching")
    answered = samples.take(_SCALED).outputs(parts[1])
    count = len(teacher.outputs)
    matching.distances = [
        _distance(each, temperature, index < count)
        for index, each in enumerate(answered)
    ]
    matching.outputs_of_each = count
    return matching


def _with_features(model, features) -> keras.Model:
    """A model of the same layers that returns outputs and features in one list."""
    more = [model.get_layer(name).output for name in features]
    return keras.Model(list(model.inputs), [*model.outputs, *more])


def _distance(answers, temperature, is_output) -> Callable:
    """How far answers are from a teacher's, given some of those."""
    if is_output and is_softmax(answers):

        def between(student, teacher):
            logarithms = (
                ops.log(ops.maximum(ops.cast(x, "float32"), _LEAST))
                for x in (student, teacher)
            )
            return divergence(*logarithms, temperature)

        return between
    variance = float(np.var(answers.astype("float64")))
    scale = 1 / max(variance, np.finfo("float32").tiny)

    def squared(student, teacher):
        difference = ops.cast(student, "float32") - ops.cast(teacher, "float32")
        return ops.square(difference) * scale

    return squared


def _batches(arrays, steps, epochs, seed):
    """Yields batches of one size, in an order of their own in every epoch."""
    random, count = np.random.default_rng(seed), len(arrays[0])
    size = -(-count // steps) if steps == 1 else count // steps
    for _ in range(epochs):
        order = random.permutation(count)
        for step in range(steps):
            chosen = order[step * size : (step + 1) * size]
            yield (tuple(array[chosen] for array in arrays),)


class _Best(keras.callbacks.Callback):
    """Keeps the weights that are best on samples held out, those of the start too."""

    def __init__(self, arrays, batch_size, echo):
        super().__init__()
        self._arrays = arrays
        self._batch_size = batch_size
        self._echo = echo
        self._least = math.inf

    def on_train_begin(self, logs=None):
        """Measures the start."""
        self._look("start", None)

    def on_epoch_end(self, epoch, logs=None):
        """Measures the epoch."""
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The distance to the teacher is not finite in epoch {epoch + 1}: "
                "training has diverged. Try a lower `learning_rate`"
            )
        self._look(f"epoch {epoch + 1}/{self.params['epochs']}", loss)

    def on_train_end(self, logs=None):
        """Goes back to the best."""
        self._student.set_weights(self._weights)

    @property
    def _student(self):
        return self.model.get_layer("student")

    def _look(self, title, loss):
        held = self.model.evaluate(
            list(self._arrays), batch_size=self._batch_size, verbose=0, return_dict=True
        )["loss"]
        if held < self._least:
            self._least = held
            self._weights = self._student.get_weights()
        if self._echo:
            fitted = "" if loss is None else f"distance {loss:.4g}, "
            print(f"{title}: {fitted}held out {held:.4g}", flush=True)


def _check(student, teacher, features):
    for network in (student, teacher):
        graph.check_built(network)
    if not student.trainable_weights:
        raise ValueError(
            "`student` must have weights to train: student.trainable = True. "
            f"Received: student={student.name!r}, frozen"
        )
    shapes = [
        [tuple(x.shape) for x in (*model.inputs, *model.outputs)]
        for model in (student, teacher)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`student` must have the inputs and outputs of the teacher, "
            f"{shapes[1]}. Received: {shapes[0]}"
        )
    for name in features:
        found = [_feature_shape(model, name) for model in (student, teacher)]
        if None in found or found[0] != found[1]:
            raise ValueError(
                "`features` must be layers of student and teacher, called once, with "
                f"outputs of one shape. Received: {name!r}, with the shapes "
                f"{found[0]} and {found[1]}"
            )


def _feature_shape(model, name) -> tuple | None:
    layers = [layer for layer in model.layers if layer.name == name]
    if not layers or len(layers[0]._inbound_nodes) != 1:
        return None
    output = layers[0].output
    return tuple(output.shape) if isinstance(output, keras.KerasTensor) else None
