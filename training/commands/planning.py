r"""Measures the time of planning a compression, or compares two orders of fitting.

Examples:
  keras-roots-planning --models=keras.applications.ResNet50 --image_size=224 \
      --samples=200
  keras-roots-planning --table=order --models=root_nin,root_resnet20 \
      --dataset=cifar10 --samples=2000 --output=zoo/results/asymmetric.csv

Prints the rows as CSV, and writes them to --output after each one. The tables:

  time   plans groups and ranks for half of the multiply-adds from random images, and
         fits them: seconds on the clock, of all processors together, peak memory
  order  decomposes networks with weights that were released for --dataset, by
         responses, without training: every layer fitted from what the original network
         gives it, and in the order of the network from what the layers before it give
         by then (asymmetric reconstruction). Ranks are the same; images are of the
         training set, 5,000 others of which the networks are evaluated on
"""

import csv
import sys

import numpy as np

from keras_roots import utils
from keras_roots.training import networks, reports
from keras_roots.training.commands import flags
from keras_roots.training.data import Location
from keras_roots.training.options import option, options


@options
class Planning:
    """What is measured."""

    table: str = option("time", "Table to make.", choices=("time", "order"))
    models: tuple[str, ...] = option(
        ("keras.applications.ResNet50",),
        "Networks: keras.applications.NAME, names of the zoo, or .keras files.",
    )
    image_size: int | None = option(
        None, "Height and width of images, for the table time.", least=1
    )
    samples: int = option(200, "Sample images to fit to.", least=2)
    seeds: int = option(3, "Choices of sample images, for the table order.", least=1)
    output: str | None = option(None, "CSV file to write as well.")


def main(given) -> None:
    """Measures as the flags say and prints rows."""
    asked, rows = given[Planning], []
    made = _times if asked.table == "time" else _orders
    for row in made(asked, given[Location]):
        writer = csv.DictWriter(sys.stdout, row, lineterminator="\n")
        if not rows:
            writer.writeheader()
        writer.writerow(row)
        sys.stdout.flush()
        rows.append(row)
        if asked.output:
            utils.write_csv(asked.output, rows)


def _times(asked, location):
    for name in asked.models:
        model = networks.parse_model(name, asked.image_size, weights=None)
        shape = (asked.samples, *model.input_shape[1:])
        images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
        yield from reports.time_planning(name, model, images)


def _orders(asked, location):
    dataset = location.open()
    for name in asked.models:
        model = networks.parse_model(
            name, weights=dataset.name, classifier_activation=None
        )
        images, labels = dataset.train.images, dataset.train.labels
        yield from reports.compare_orders(
            name, model, images, labels, asked.samples, asked.seeds
        )


run = flags.command(main, __doc__, Planning, Location)
