"""Distillation: a network learns from the outputs of another beside the labels."""

import keras
import numpy as np
from keras import ops

from keras_roots.convolutions import recalibrate
from keras_roots.training import data
from keras_roots.training.trainer import prepare
from keras_roots.training.trainer.recipes import Recipe

_STATISTICS = 1000  # training images that BatchNormalization's are estimated on


class Inference(keras.layers.Layer):
    """Computes a model as it is deployed, also while a model around it is trained.

    Dropout and augmentation are off, BatchNormalization normalises by its moving
    statistics and leaves them as they are. Gradients reach the weights.

    Args:
        model: A functional or Sequential model. A copy of the layer holds the same one.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        self.model = model

    def call(self, inputs):
        """Takes the inputs of the model, in its structure."""
        # Without an argument `training` of this layer's, no model around it sets one.
        return self.model(inputs, training=False)

    def get_config(self):
        """Returns the arguments, for copies in this process."""
        return {**super().get_config(), "model": self.model}


class Distillation(keras.layers.Layer):
    """Adds the distance from a teacher's logits to the loss, and passes the student's.

    Args:
        weight: Weight of this loss; that of the labels' is 1.
        temperature: As for `divergence`.
        alone: Whether nothing else teaches: no gradient passes of a loss that is
            computed behind this layer, as the labels' is.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, weight=1.0, temperature=2.0, alone=False, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.temperature = temperature
        self.alone = alone

    def call(self, inputs):
        """Takes (student's logits, teacher's logits), both `(batch, classes)`."""
        distances = divergence(*inputs, self.temperature)
        self.add_loss(self.weight * ops.mean(distances))
        return ops.stop_gradient(inputs[0]) if self.alone else inputs[0]

    def get_config(self):
        """Returns the arguments."""
        names = ("weight", "temperature", "alone")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own}


def divergence(student, teacher, temperature: float = 2.0):
    """Returns how far a student's distributions over classes are from a teacher's.

    Hinton et al. (2015), Distilling the Knowledge in a Neural Network: the
    Kullback-Leibler divergence of the two softened distributions, times the square of
    the temperature.

    Args:
        student: Logits or logarithms of probabilities, `(..., classes)`.
        teacher: The same of the teacher.
        temperature: What they are divided by.

    Returns:
        float32 `(...)`, 0 where both are the same.
    """
    student, teacher = (
        ops.log_softmax(ops.cast(scores, "float32") / temperature)
        for scores in (student, teacher)
    )
    return temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)


def statistics_images(
    model: keras.Model, dataset: data.Dataset, recipe: Recipe, seed: int
) -> np.ndarray:
    """Returns images that BatchNormalization's statistics are estimated on.

    They are varied as a training by the recipe varies them: the weights that it leaves
    go with the statistics of such images. On images as they are, without borders that
    crops show for instance, a network may lose points of accuracy.

    Args:
        model: The network, which tells the size of the images.
        dataset: The data set, of which training images are taken.
        recipe: The recipe.
        seed: Seed of the choice and the variation.

    Returns:
        float32 `(n, height, width, channels)`: 1,000, or those of an epoch.
    """
    batches = data.train_batches(
        dataset.train,
        augmentation=data.get_augmentation(recipe.augmentation, recipe.flip),
        batch_size=min(recipe.batch_size, dataset.train.count),
        image_size=model.input_shape[1],
        classes=len(dataset.class_names),
        fill=prepare.mean_colour(model),
        seed=seed,
        epochs=range(1),
    )
    found, count = [], 0
    with dataset.reading():
        for images, _ in batches:
            found.append(ops.convert_to_numpy(images))
            count += len(found[-1])
            if count >= _STATISTICS:
                break
    return np.concatenate(found)[:_STATISTICS].astype("float32", copy=False)


def with_teacher(
    student: keras.Model,
    teacher: keras.Model,
    recipe: Recipe,
    weight: float = 1.0,
    temperature: float = 2.0,
    *,
    images: np.ndarray,
    alone: bool = False,
) -> keras.Model:
    """Returns a model of the student's layers that learns from a teacher as well.

    A student in training normalises by the statistics of batches. A teacher whose
    moving statistics lag behind those, as after a short training, answers otherwise
    than a student of the same weights, which would be drawn away from them; so the
    teacher is a copy with statistics estimated anew.

    Args:
        student: Network to train, whose output is logits.
        teacher: Network of the same inputs and classes; it stays as it is.
        recipe: Recipe of the training, for its precision.
        weight: Weight of the distance to the teacher.
        temperature: As for `divergence`.
        images: Training images for its statistics, as from `statistics_images`.
        alone: Whether the teacher teaches alone, without the labels.

    Raises:
        ValueError: Inputs or classes of the two differ, or the teacher is no
            classifier.
    """
    prepared = prepare.prepare(recalibrate(teacher, images), recipe)
    shapes = [(model.input_shape, model.output_shape) for model in (student, prepared)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`teacher` must have the student's input and output shapes, "
            f"{shapes[0]}. Received: {shapes[1]}"
        )
    prepared.trainable = False
    silent = Inference(prepared, dtype="float32", name="teacher")
    inputs = student.inputs[0]
    how = {"weight": weight, "temperature": temperature, "alone": alone}
    layer = Distillation(**how, dtype="float32", name="distillation")
    outputs = layer([student.outputs[0], silent(inputs)])
    return keras.Model(inputs, outputs, name=student.name)
