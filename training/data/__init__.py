"""Data sets: arrays or streams of photographs, split, augmented, in batches."""

from keras_roots.training.data.arrays import check_arrays, from_arrays
from keras_roots.training.data.augment import AUGMENTATIONS, FLIPS, get_augmentation
from keras_roots.training.data.batches import (
    evaluation_batches,
    steps_per_epoch,
    train_batches,
)
from keras_roots.training.data.datasets import (
    Dataset,
    Location,
    Source,
    model_arguments,
    open_dataset,
    sample_images,
)
from keras_roots.training.data.splits import Arrays, in_memory
from keras_roots.training.data.unlabelled import (
    Unlabelled,
    WithoutLabels,
    open_unlabelled,
)

__all__ = [
    "AUGMENTATIONS",
    "Arrays",
    "Dataset",
    "FLIPS",
    "Location",
    "Source",
    "Unlabelled",
    "WithoutLabels",
    "check_arrays",
    "evaluation_batches",
    "from_arrays",
    "get_augmentation",
    "in_memory",
    "model_arguments",
    "open_dataset",
    "open_unlabelled",
    "sample_images",
    "steps_per_epoch",
    "train_batches",
]
