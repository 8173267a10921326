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

import contextlib
import dataclasses
import json
import tempfile

from absl import flags

from keras_roots.models import registry, released
from keras_roots.training import data, evaluation, formats
from keras_roots.training import flags as shared
from keras_roots.training.export import quiet

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
    quiet()
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
        list(formats.FORMATS),
        f"How to evaluate --model, of {', '.join(formats.FORMATS)}.",
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
    name = _zoo_name()
    entry = _entry(name)
    chosen = values.dataset
    if entry and not values["dataset"].present:
        chosen = entry["dataset"]
    dataset = data.open_dataset(chosen, values.data_dir)
    model = registry.create_model(
        name, weights=values.weights, classes=len(dataset.class_names)
    )
    with tempfile.TemporaryDirectory() as folder:
        ranks = formats.rank_labels(
            model,
            formats.export(model, dataset, folder, values.formats),
            dataset,
            values.split,
            batch_size=values.batch_size or 100,
            threads=values.threads,
        )
    scores = {kind: evaluation.score(each) for kind, each in ranks.items()}
    result = {
        "evaluated": f"{name} with weights {values.weights}",
        "dataset": chosen,
        "split": values.split,
        "images": next(iter(scores.values())).images,
        "top1": {kind: score.top1 for kind, score in scores.items()},
        "top5": {kind: score.top5 for kind, score in scores.items()},
    }
    if entry and (chosen, values.split) == (entry["dataset"], "test"):
        stated = {kind: entry["top1"][kind] for kind in scores}
        result |= {"released_top1": stated, "reproduced": stated == result["top1"]}
    return result


def _zoo_name() -> str:
    values = shared.FLAGS
    root = values.root if isinstance(values.root, tuple) else (values.root,)
    return f"{values.model}:{'x'.join(map(str, root))}:{values.topology}"


def _entry(name) -> dict | None:
    """The entry in the zoo's index of what is evaluated, if it is released."""
    with contextlib.suppress(ValueError):
        return released.entry(
            shared.FLAGS.model, registry.groups(name), shared.FLAGS.weights
        )
    return None
