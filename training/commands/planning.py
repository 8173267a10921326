r"""Measures planning: its time, two orders of fitting, and two ways to choose layers.

Examples:
  keras-roots-planning --models=keras.applications.ResNet50 --image_size=224 \
      --samples=200
  keras-roots-planning --table=order --models=root_resnet20:1 --dataset=cifar10 \
      --holdout=5000 --samples=2000 --output=asymmetric.csv
  keras-roots-planning --table=judge --models=root_nin:1,root_resnet20:1 \
      --dataset=cifar10 --holdout=5000 --samples=500 --output=choice.csv
  keras-roots-planning --table=judge --models=model.keras \
      --dataset=imagenette/160px-v2 --samples=200

Prints the rows as CSV, and writes them to --output after each one. The tables:

  time   plans groups and ranks for half of the multiply-adds from random images, and
         fits them: seconds on the clock, of all processors together, peak memory
  order  decomposes by responses: every layer fitted from what the original network
         gives it, and in the order of the network from what the layers before it give
         by then (asymmetric reconstruction). Ranks are the same
  judge  chooses ranks by what layers lose of their responses, and by what that does to
         the outputs of the network, which is run for a few ranks of each layer

The last two take classifiers: .keras files, and networks of the zoo with the weights
that were released for --dataset. Nothing is trained. Kernels are fitted to --samples
training images, and networks compared on the --holdout other training images, or on the
test (or validation) images if none are held out.
"""

from pathlib import Path

import numpy as np

from keras_roots import utils
from keras_roots.training import networks, reports
from keras_roots.training.commands import flags
from keras_roots.training.data import Source
from keras_roots.training.options import option, options

_COMPARISONS = {"order": reports.compare_orders, "judge": reports.compare_judges}


@options
class Planning:
    """What is measured."""

    table: str = option("time", "Table to make.", choices=("time", *_COMPARISONS))
    models: tuple[str, ...] = option(
        ("keras.applications.ResNet50",),
        "Networks: keras.applications.NAME for the table time, names of the zoo, or "
        ".keras files.",
    )
    image_size: int | None = option(
        None, "Height and width of images, for the table time.", least=1
    )
    samples: int = option(200, "Sample images to fit to.", least=2)
    seeds: int = option(
        3, "Choices of sample images, for the tables order and judge.", least=1
    )
    output: str | None = option(None, "CSV file to write as well.")


def main(given) -> None:
    """Measures as the flags say and prints rows."""
    asked = given[Planning]
    made = _times(asked) if asked.table == "time" else _compared(asked, given[Source])
    utils.print_csv(made, asked.output)


def _times(asked):
    for name in asked.models:
        model = networks.parse_model(name, asked.image_size, weights=None)
        shape = (asked.samples, *model.input_shape[1:])
        images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
        yield from reports.time_planning(name, model, images)


def _compared(asked, source):
    # Neither keras.applications.NAME nor examples.NAME has weights for a data set.
    others = [n for n in asked.models if "." in n and not _is_file(n)]
    if others:
        raise ValueError(
            f"`models` must be .keras files or networks of the zoo for the table "
            f"{asked.table}. Received: {', '.join(others)}"
        )
    dataset = source.open()
    weights = dataset.name.partition("/")[0]
    trained = [networks.parse_model(name, weights=weights) for name in asked.models]
    for name, model in zip(asked.models, trained, strict=True):
        label = Path(name).stem if _is_file(name) else name
        yield from _COMPARISONS[asked.table](
            label, model, dataset, asked.samples, asked.seeds
        )


def _is_file(name) -> bool:
    return name.endswith(".keras")


run = flags.command(main, __doc__, Planning, Source)
