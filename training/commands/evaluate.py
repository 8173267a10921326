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

from keras_roots.training import data, evaluation
from keras_roots.training.commands import flags
from keras_roots.training.data import Location
from keras_roots.training.networks import Zoo
from keras_roots.training.options import option, options


@options
class Evaluation:
    """What is evaluated, and how."""

    file: str | None = option(
        None,
        "A .keras or .tflite file, or the folder of a SavedModel, which is a program "
        "that evaluating runs.",
    )
    trust: bool = option(
        False,
        "Run a SavedModel even if its operations may write files, use the network or "
        "call other code.",
    )
    split: str = option(
        "test",
        "Images to measure on; test is the data set's test or validation split.",
        choices=("test", "train"),
    )
    formats: tuple[str, ...] = option(
        evaluation.FORMATS,
        f"How to evaluate --model, of {', '.join(evaluation.FORMATS)}.",
        choices=evaluation.FORMATS,
    )
    batch_size: int = option(100, "Images per call.", least=1)
    threads: int = option(1, "Threads of the LiteRT runtime.", least=1)


def evaluate_file(chosen: Evaluation, dataset: data.Dataset) -> dict:
    """Returns the accuracy of the file, as `Score.figures`.

    Raises:
        ValueError: There is no such file, or it has other classes than the data set.
    """
    predictor = evaluation.load_predictor(chosen.file, chosen.threads, chosen.trust)
    score = evaluation.evaluate_on(predictor, dataset, chosen.split, chosen.batch_size)
    described = {"dataset": dataset.name, "split": chosen.split}
    figures = score.figures(predictor.classes)
    return {"evaluated": chosen.file, **described, **figures}


def evaluate_zoo(zoo: Zoo, chosen: Evaluation, dataset: data.Dataset) -> dict:
    """Measures a model of the zoo in the formats that releases have.

    Args:
        zoo: The model, with weights.
        chosen: How to evaluate.
        dataset: The data set.

    Returns:
        `top1` and `top5` by format; and, if the weights were released with figures for
        this split, those as `released_top1`, and whether they are `reproduced`.

    Raises:
        ValueError: There are no such weights, or they do not fit the data set.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    model = zoo.build(len(dataset.class_names))
    (measured,) = evaluation.measure(
        {str(zoo.name): model},
        dataset,
        chosen.formats,
        split=chosen.split,
        batch_size=chosen.batch_size,
        threads=chosen.threads,
        runs=0,
    ).values()
    scores = {form: each.score for form, each in measured.items()}
    result = {
        "evaluated": f"{zoo.name} with weights {zoo.weights}",
        "dataset": dataset.name,
        "split": chosen.split,
        "images": next(iter(scores.values())).images,
        "top1": {form: score.top1 for form, score in scores.items()},
        "top5": {form: score.top5 for form, score in scores.items()},
    }
    entry = zoo.released()
    if entry and (dataset.name, chosen.split) == (entry["dataset"], "test"):
        stated = {form: entry["top1"][form] for form in scores}
        result |= {"released_top1": stated, "reproduced": stated == result["top1"]}
    return result


def main(given) -> None:
    """Measures as the flags say and prints the result."""
    chosen, zoo, location = given[Evaluation], given[Zoo], given[Location]
    if (chosen.file is None) == (zoo.weights is None):
        raise ValueError(
            "Give either --file, or --weights of a --model: what is there to evaluate? "
            f"Received: --file={chosen.file}, --weights={zoo.weights}"
        )
    if chosen.file is not None:
        result = evaluate_file(chosen, location.open())
    else:
        entry = zoo.released()
        if entry and not given.present("dataset"):
            location = dataclasses.replace(location, dataset=entry["dataset"])
        result = evaluate_zoo(zoo, chosen, location.open())
    print(json.dumps(result, indent=2))


run = flags.command(main, __doc__, Evaluation, Zoo, Location)
