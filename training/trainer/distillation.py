"""Distillation: a network learns from the outputs of another beside the labels."""

import keras
from keras import ops

from keras_roots import graph
from keras_roots.training.trainer import prepare
from keras_roots.training.trainer.recipes import Recipe


@keras.saving.register_keras_serializable(package="keras_roots")
class Distillation(keras.layers.Layer):
    """Adds the distance from a teacher's logits to the loss, and passes the student's.

    Hinton et al. (2015), Distilling the Knowledge in a Neural Network: the
    Kullback-Leibler divergence of the two softened distributions, times the square of
    the temperature.

    Args:
        weight: Weight of this loss; that of the labels' is 1.
        temperature: What the logits are divided by.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, weight=1.0, temperature=2.0, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.temperature = temperature

    def call(self, inputs):
        """Takes (student's logits, teacher's logits), both `(batch, classes)`."""
        student, teacher = (
            ops.log_softmax(ops.cast(logits, "float32") / self.temperature)
            for logits in inputs
        )
        divergence = ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
        self.add_loss(self.weight * self.temperature**2 * ops.mean(divergence))
        return inputs[0]

    def get_config(self):
        """Returns the arguments."""
        own = {"weight": self.weight, "temperature": self.temperature}
        return {**super().get_config(), **own}


def with_teacher(
    student: keras.Model,
    teacher: keras.Model,
    recipe: Recipe,
    weight: float = 1.0,
    temperature: float = 2.0,
) -> keras.Model:
    """Returns a model of the student's layers that learns from a teacher as well.

    Args:
        student: Network to train, whose output is logits.
        teacher: Network of the same inputs and classes; its weights stay as they are.
        recipe: Recipe of the training, for its precision.
        weight: Weight of the distance to the teacher.
        temperature: As for `Distillation`.

    Raises:
        ValueError: Inputs or classes of the two differ, or the teacher is no
            classifier.
    """
    shapes = [(model.input_shape, model.output_shape) for model in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`teacher` must have the student's input and output shapes, "
            f"{shapes[0]}. Received: {shapes[1]}"
        )
    silent = graph.rewrite(prepare.prepare(teacher, recipe), _without_noise)
    silent.trainable = False
    silent.name = "teacher"
    images = student.inputs[0]
    layer = Distillation(weight, temperature, dtype="float32", name="distillation")
    outputs = layer([student.outputs[0], silent(images)])
    return keras.Model(images, outputs, name=student.name)


# Random in training, also in a model with `trainable=False`; within a functional model
# there is no calling it in inference mode.
_NOISE = (
    keras.layers.Dropout,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)


def _without_noise(layer):
    return graph.Replacement([], []) if isinstance(layer, _NOISE) else None
