r"""Measures the accuracy of a file or of a model of the zoo.

Examples:
  keras-roots-evaluate --file=runs/digits-root8/model.keras --dataset=digits
  keras-roots-evaluate --file=root8-int8.tflite --dataset=cifar10 --threads=2
  keras-roots-evaluate --model=root_nin --root=8 --weights=cifar10

The last one evaluates released weights on the test images that they were released with,
as Keras model and as the LiteRT files that it exports, and compares with the accuracy
that the zoo's index states. --dataset=cifar10-sample takes 400 of those images, which
need no download.
"""

import dataclasses
import json
import tempfile
from collections.abc import Sequence

from absl import flags

from keras_roots import models
from keras_roots.training import data, evaluation
from keras_roots.training.commands import flags as shared

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


def evaluate_model(
    name: str,
    weights: str,
    dataset: data.Dataset,
    kinds: Sequence[str] = tuple(evaluation.FORMATS),
    *,
    split: str = "test",
    batch_size: int = 100,
    threads: int = 1,
) -> dict:
    """Measures a model of the zoo with weights, in the formats that releases have.

    Args:
        name: Name of the model with its groups, as for `create_model`.
        weights: Its weights: a released name or a file.
        dataset: The data set.
        kinds: Formats, keys of `formats.FORMATS`.
        split: `"test"` or `"train"`.
        batch_size: Images per call.
        threads: Threads for LiteRT files.

    Returns:
        `top1` and `top5` by format; and, if the weights were released with figures for
        this split, those as `released_top1`, and whether they are `reproduced`.

    Raises:
        ValueError: There are no such weights, or they do not fit the data set.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    model = models.create_model(name, weights=weights, classes=len(dataset.class_names))
    with tempfile.TemporaryDirectory() as folder:
        ranks = evaluation.rank_labels(
            model,
            evaluation.export_formats(model, dataset, folder, kinds),
            dataset,
            split,
            batch_size=batch_size,
            threads=threads,
        )
    scores = {kind: evaluation.score(each) for kind, each in ranks.items()}
    result = {
        "evaluated": f"{name} with weights {weights}",
        "dataset": dataset.name,
        "split": split,
        "images": next(iter(scores.values())).images,
        "top1": {kind: score.top1 for kind, score in scores.items()},
        "top5": {kind: score.top5 for kind, score in scores.items()},
    }
    entry = find_entry(name, weights)
    if entry and (dataset.name, split) == (entry["dataset"], "test"):
        stated = {kind: entry["top1"][kind] for kind in scores}
        result |= {"released_top1": stated, "reproduced": stated == result["top1"]}
    return result


def find_entry(name: str, weights: str) -> dict | None:
    """Returns the entry in the zoo's index, `None` if it is not released.

    Args:
        name: As for `evaluate_model`.
        weights: As for `evaluate_model`.
    """
    model, _ = models.parse_name(name)
    return models.released_entry(model, models.groups_in_name(name), weights)


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
    result = _file() if values.file else _model()
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
    flags.DEFINE_list(
        "formats",
        list(evaluation.FORMATS),
        f"How to evaluate --model, of {', '.join(evaluation.FORMATS)}.",
    )
    return (*_SHARED_FLAGS, "file", "split", "formats")


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


def _file() -> dict:
    values = shared.FLAGS
    dataset = data.open_dataset(values.dataset, values.data_dir)
    predictor = evaluation.load_predictor(values.file, values.threads)
    score = evaluation.evaluate_on(
        predictor, dataset, values.split, values.batch_size or 100
    )
    return {
        "evaluated": values.file,
        "dataset": values.dataset,
        "split": values.split,
        **dataclasses.asdict(score),
    }


def _model() -> dict:
    values = shared.FLAGS
    root = values.root if isinstance(values.root, tuple) else (values.root,)
    name = f"{values.model}:{'x'.join(map(str, root))}:{values.topology}"
    entry = find_entry(name, values.weights)
    chosen = values.dataset
    if entry and not values["dataset"].present:
        chosen = entry["dataset"]
    return evaluate_model(
        name,
        values.weights,
        data.open_dataset(chosen, values.data_dir),
        values.formats,
        split=values.split,
        batch_size=values.batch_size or 100,
        threads=values.threads,
    )
