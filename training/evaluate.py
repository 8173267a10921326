r"""Measures the accuracy of a file or of a model of the zoo.

Examples:
  keras-roots-evaluate --file=runs/digits-root8/model.keras --dataset=digits
  keras-roots-evaluate --file=root8-int8.tflite --dataset=cifar10 --threads=2
  keras-roots-evaluate --model=root_nin --root=8 --weights=cifar10 --dataset=cifar10
"""

import dataclasses
import json

from absl import flags

from keras_roots.models import registry
from keras_roots.training import data, evaluation
from keras_roots.training import flags as shared

_SHARED_FLAGS = (
    "model",
    "root",
    "topology",
    "weights",
    "dataset",
    "data_dir",
    "batch_size",
    "threads",
)


def main(argv) -> None:
    """Measures as the flags say and prints the result."""
    del argv
    values = shared.FLAGS
    if values.file and values.weights:
        raise ValueError("Give --file, or --model with --weights, not both")
    if not values.file and not values.weights:
        raise ValueError(
            "Give --file, or --weights of a --model: what is there to evaluate?"
        )
    dataset = data.open_dataset(values.dataset, values.data_dir)
    if values.file:
        predictor = evaluation.load_predictor(values.file, values.threads)
    else:
        model = registry.create_model(
            values.model,
            root=values.root,
            topology=values.topology,
            weights=values.weights,
            classes=len(dataset.class_names),
        )
        predictor = evaluation.model_predictor(model)
    score = evaluation.evaluate_on(
        predictor, dataset, values.split, values.batch_size or 100
    )
    result = {
        "evaluated": values.file or f"{model.name} with weights {values.weights}",
        "dataset": values.dataset,
        "split": values.split,
        **dataclasses.asdict(score),
    }
    print(json.dumps(result, indent=2))


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    flags.DEFINE_string(
        "file", None, "A .keras or .tflite file, or the folder of a SavedModel."
    )
    flags.DEFINE_enum(
        "split",
        "test",
        ["test", "train"],
        "Images to measure on; test is the data set's test or validation split.",
    )
    return (*_SHARED_FLAGS, "file", "split")


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())
