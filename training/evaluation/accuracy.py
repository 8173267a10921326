"""Accuracy of anything that maps images to class scores."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from keras_roots import compression, export
from keras_roots.export import LiteRTModel
from keras_roots.training import data
from keras_roots.utils import checks, load_model, load_signature


@dataclasses.dataclass(frozen=True)
class Score:
    """Accuracy on a set of images.

    Attributes:
        top1: Part of the images whose highest score is their label's, 0 to 1.
        top5: Part of the images whose label is among the five highest.
        images: Number of images.
    """

    top1: float
    top5: float
    images: int

    def figures(self, classes: int) -> dict:
        """Returns the attributes by name; no `top5` of less than six classes.

        Args:
            classes: How many classes there are.
        """
        figures = dataclasses.asdict(self)
        if classes <= 5:
            del figures["top5"]
        return figures


def evaluate(predict: Callable, batches: Iterable[tuple]) -> Score:
    """Returns the accuracy of a predictor.

    Args:
        predict: Function of float32 images `(batch, height, width, 3)`, pixels 0 to
            255, to scores `(batch, classes)`.
        batches: Pairs of images and integer labels `(batch,)`.

    Raises:
        ValueError: There are no images.
    """
    return score(rank_labels(predict, batches))


def rank_labels(predict: Callable, batches: Iterable[tuple]) -> np.ndarray:
    """Returns how many classes score as high as each image's label: 1 if it is best.

    Args:
        predict: As for `evaluate`.
        batches: As for `evaluate`.

    Returns:
        Integers `(images,)`. Ties count against the label, so that constant scores
        never count as right.

    Raises:
        ValueError: There are no images.
    """
    ranks = []
    for batch, labels in batches:
        scores = np.asarray(predict(batch), "float32")
        own = scores[np.arange(len(labels)), labels]
        ranks.append((scores >= own[:, None]).sum(axis=1))
    if not ranks:
        raise ValueError("`batches` must hold images. Received none")
    return np.concatenate(ranks)


def score(ranks: np.ndarray) -> Score:
    """Returns the accuracy from the ranks of the labels.

    Args:
        ranks: As `rank_labels` returns them.
    """
    # NaN scores rank a label 0.
    top1, top5 = (float(np.mean((ranks > 0) & (ranks <= places))) for places in (1, 5))
    return Score(top1, top5, len(ranks))


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A classifier of images: a model, or a file that is loaded.

    Attributes:
        predict: Function of images to scores, as for `evaluate`.
        image_size: Height and width of the images that it takes, in pixels.
        classes: Number of its classes.
    """

    predict: Callable
    image_size: int
    classes: int


def evaluate_on(
    predictor: Predictor,
    dataset: data.Dataset,
    split: str = "test",
    batch_size: int = 100,
) -> Score:
    """Returns the accuracy of a predictor on a split of a data set.

    Args:
        predictor: What to measure.
        dataset: The data set.
        split: `"test"`, `"train"` or `"evaluation"`, the images held out.
        batch_size: Images per call.

    Raises:
        ValueError: The predictor has other classes than the data set.
    """
    return score(rank_labels_on(predictor, dataset, split, batch_size))


def rank_labels_on(
    predictor: Predictor,
    dataset: data.Dataset,
    split: str = "test",
    batch_size: int = 100,
) -> np.ndarray:
    """Ranks the labels of a split, as `rank_labels` does.

    Args:
        predictor: As for `evaluate_on`.
        dataset: As for `evaluate_on`.
        split: As for `evaluate_on`.
        batch_size: As for `evaluate_on`.

    Raises:
        ValueError: The predictor has other classes than the data set.
    """
    if predictor.classes != len(dataset.class_names):
        raise ValueError(
            f"`dataset` {dataset.name!r} has {len(dataset.class_names)} classes. "
            f"Received: a model with {predictor.classes}"
        )
    checks.choice("split", split, ("train", "evaluation", "test"))
    batches = getattr(dataset, split).batches(batch_size, predictor.image_size)
    return rank_labels(predictor.predict, batches)


def score_model(model: keras.Model, dataset: data.Dataset | data.Unlabelled) -> dict:
    """Returns what a model reaches on a data set, as its result holds it.

    Args:
        model: The model.
        dataset: The data set; or samples without labels, on which the model is compared
            with the original.

    Returns:
        `top1`, `top5` (of six classes or more) and `images` of the test split, and
        `validation_top1` and `validation_images` if images are held out of the training
        split. Without labels `error`, the relative squared error of the outputs,
        `agreement`, the part of the samples of the same class (of outputs that are a
        softmax), `images`.

    Raises:
        ValueError: The model has other classes than the data set.
    """
    if isinstance(dataset, data.Unlabelled):
        against = compression.Evaluation(dataset.original, dataset.held_out)
        near = against.of_model(model)
        count = len(dataset.held_out)
        return {"error": near.error, "agreement": near.agreement, "images": count}
    predictor = model_predictor(model)
    found = evaluate_on(predictor, dataset).figures(predictor.classes)
    if dataset.evaluation is not dataset.test:
        held_out = evaluate_on(predictor, dataset, "evaluation")
        found["validation_top1"] = held_out.top1
        found["validation_images"] = held_out.images
    return found


def headline(result: Mapping) -> str:
    """Returns in a few words what a model reaches.

    Args:
        result: As from `score_model`, perhaps with more.
    """
    if "top1" in result:
        return f"{result['top1']:.2%} top-1"
    text = f"outputs are off by {result['error']:.2%}"
    if result["agreement"] is None:
        return text
    return f"{text}, the class is the same for {result['agreement']:.2%}"


def load_predictor(path: str, threads: int = 1, trust: bool = False) -> Predictor:
    """Loads a Keras file, a SavedModel or a LiteRT file.

    Args:
        path: A `.keras` or `.tflite` file, or the folder of a SavedModel.
        threads: Threads for a LiteRT file.
        trust: Whether a SavedModel may have operations that write files, use the
            network or call other code.

    Raises:
        ValueError: There is no such file, it cannot be loaded, or it needs trust.
    """
    if not os.path.exists(path):
        raise ValueError(f"`file` does not exist: {path!r}")
    if os.path.isdir(path):
        return _saved_model(path, trust)
    for suffix, load in ((".tflite", _litert), (".keras", _keras)):
        if path.endswith(suffix):
            return load(path, threads)
    raise ValueError(
        "`file` must be a .keras file, a .tflite file or the folder of a SavedModel. "
        f"Received: file={path!r}"
    )


def model_predictor(model: keras.Model) -> Predictor:
    """Returns the predictor of a Keras model."""
    channels_last = keras.config.image_data_format() == "channels_last"
    size = model.input_shape[1 if channels_last else 2]

    def predict(images):
        if not channels_last:
            images = np.moveaxis(images, -1, 1)
        return model.predict_on_batch(images)

    return Predictor(predict, size, model.output_shape[-1])


def _keras(path, threads):
    del threads
    return model_predictor(load_model(path, "`file`"))


def _litert(path, threads):
    model = LiteRTModel(path, threads)
    scores = model.predict(np.zeros((1, *model.image_shape), "float32"))[0]
    return Predictor(
        lambda images: model.predict(images)[0], model.image_shape[0], scores.shape[-1]
    )


def _saved_model(path, trust):
    import tensorflow as tf

    serve = load_signature(path, "`file`", trust)
    ((argument, spec),) = serve.structured_input_signature[1].items()
    first = export.in_order(serve.structured_outputs)[0]

    def predict(images):
        return serve(**{argument: tf.constant(images, spec.dtype)})[first]

    return Predictor(predict, spec.shape[1], serve.structured_outputs[first].shape[-1])
