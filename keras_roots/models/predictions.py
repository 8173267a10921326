"""Names of the classes that a network predicts."""

import keras
import numpy as np

from keras_roots.utils import checks

CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

# Ten easy classes of ImageNet, by WordNet id, in the order of their labels.
IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English_springer",
    "n02979186": "cassette_player",
    "n03000684": "chain_saw",
    "n03028079": "church",
    "n03394916": "French_horn",
    "n03417042": "garbage_truck",
    "n03425413": "gas_pump",
    "n03445777": "golf_ball",
    "n03888257": "parachute",
}

_IMAGENET_CLASSES = 1000

# Family's data set: numbers of classes it may be trained on, and their (id, name).
_NAMES = {
    "cifar10": {10: tuple(enumerate(CIFAR10))},
    "cifar10_mean": {10: tuple(enumerate(CIFAR10))},
    "imagenet": {10: tuple(IMAGENETTE.items()), _IMAGENET_CLASSES: None},
}


def decode_predictions(preds, dataset: str, top: int = 5) -> list[list[tuple]]:
    """Names the most probable classes.

    Args:
        preds: Predictions of a batch, `(batch, classes)`: 10 classes of CIFAR-10, or
            1000 of ImageNet or 10 of Imagenette.
        dataset: Data set of the model family.
        top: How many classes to return for each image.

    Returns:
        As `keras.applications`: for each image a list of `(class id, name, score)`,
        best first. The id is the WordNet id, for CIFAR-10 the label.

    Raises:
        ValueError: `preds` has another shape, or `top` is not positive.
    """
    names_of = _NAMES[checks.choice("dataset", dataset, _NAMES)]
    columns = " or ".join(map(str, names_of))
    shape = f"(batch, {columns})"
    preds = checks.array("preds", preds, (None, None), shape)
    if preds.shape[1] not in names_of:
        raise ValueError(
            f"`preds` must be numbers of shape {shape}, predictions of a model with "
            f"its classifier. Received: preds of shape {preds.shape}"
        )
    top = checks.integer("top", top)
    names = names_of[preds.shape[1]]
    if names is None:
        return keras.applications.imagenet_utils.decode_predictions(preds, top=top)
    return [
        [(*names[label], scores[label]) for label in np.argsort(-scores)[:top]]
        for scores in preds
    ]
