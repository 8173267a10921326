"""Fine-tuning as a function of student and teacher, for `keras_roots.compress`."""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import graph
from keras_roots.convolutions import recalibrate
from keras_roots.training import data
from keras_roots.training.trainer.distillation import statistics_images, with_teacher
from keras_roots.training.trainer.fit import fit
from keras_roots.training.trainer.prepare import check_outputs
from keras_roots.training.trainer.recipes import Recipe, get_recipe
from keras_roots.utils import checks


def finetuner(
    dataset: data.Dataset | str | Sequence[np.ndarray],
    epochs: int = 5,
    *,
    distillation: float = 1.0,
    temperature: float = 2.0,
    recipe: Recipe | None = None,
    data_dir: str | None = None,
    seed: int = 0,
    verbose: bool | None = None,
) -> Callable[[keras.Model, keras.Model], keras.Model]:
    """Returns a function that trains a student on labels and a teacher's outputs.

    BatchNormalization's moving statistics, which lag behind the weights in a short
    training, are estimated anew before and after it, on images varied as in training.

    Args:
        dataset: Name of a data set, as for `keras-roots-train`; or arrays: images and
            labels, and optionally those for testing: uint8 `(n, height, width, 3)` and
            integers `(n,)`. Without those to test, a fifth of the images is kept from
            training. Images of another size are resized to that of the network.
        epochs: Passes over the training images.
        distillation: Weight of the distance to the teacher's outputs, 0 for none.
        temperature: Temperature of the distillation.
        recipe: How to train; by default the data set's recipe at a fifth of its rate,
            with no larger batches than there are images. Images are varied only where
            the data set has a recipe of its own that says so, cifar10 for instance:
            arrays and folders as `recipe` says. `epochs` counts.
        data_dir: Where TensorFlow Datasets keeps its data sets.
        seed: Seed of everything random.
        verbose: Whether to show a progress bar; by default, on a terminal.

    Returns:
        A function `(student, teacher) -> student`. Both are classifiers of square
        colour images, pixels 0 to 255; it raises a ValueError where they are not, and
        a FloatingPointError where training diverges.

    Raises:
        ValueError: An argument is impossible.

    Example:
        >>> train = keras_roots.training.finetuner((images, labels), epochs=5)
        >>> small = keras_roots.compress(model, images, 0.5, finetune=train)
    """
    checks.integer("epochs", epochs)
    checks.number("distillation", distillation, 0)
    checks.number("temperature", temperature, above=0)
    checks.path("data_dir", data_dir)
    checks.seed(seed)
    if not isinstance(recipe, Recipe | None):
        raise ValueError(
            "`recipe` must be a keras_roots.training.trainer.Recipe or None. "
            f"Received: recipe={recipe!r}"
        )
    if isinstance(dataset, str):
        dataset = data.open_dataset(dataset, data_dir)
    elif not isinstance(dataset, data.Dataset):
        data.check_arrays(dataset)

    def finetune(student: keras.Model, teacher: keras.Model) -> keras.Model:
        for network in (student, teacher):
            graph.check_built(network)
        _check(student)
        classes, held = student.output_shape[-1], dataset
        if not isinstance(held, data.Dataset):
            held = data.from_arrays(held, classes)
        if classes != len(held.class_names):
            raise ValueError(
                f"`dataset` must have the {classes} classes of the network. "
                f"Received: {len(held.class_names)} classes"
            )
        own = recipe or _default_recipe(student, held)
        own = dataclasses.replace(own, epochs=epochs)
        images = statistics_images(student, held, own, seed)
        student = recalibrate(student, images)

        def adapt(trainee):
            if not distillation:
                return trainee
            how = (own, distillation, temperature)
            return with_teacher(trainee, teacher, *how, images=images)

        with tempfile.TemporaryDirectory() as folder:
            fit(
                student,
                held,
                own,
                folder,
                adapt=adapt,
                seed=seed,
                verbose=verbose,
            )
        return recalibrate(student, images)

    return finetune


def _default_recipe(student, dataset) -> Recipe:
    recipe = get_recipe(student.name, dataset.name)
    return dataclasses.replace(
        recipe,
        learning_rate=recipe.learning_rate / 5,
        batch_size=min(recipe.batch_size, dataset.train.count),
    )


def _check(student):
    check_outputs(student)
    if not student.trainable_weights:
        raise ValueError(
            "`student` must have weights to train: student.trainable = True. "
            f"Received: student={student.name!r}, frozen"
        )
