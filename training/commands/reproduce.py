r"""Regenerates the tables and figures of the papers, from what the package builds.

Multiply-adds and parameters of every network in Deep Roots, as published, corrected
where the publication is wrong, and computed from the model itself; accuracies and times
are the published ones, for the record. Fails if a computed count is not the corrected
one:

  keras-roots-reproduce --table=resnet50 --table=nin --csv=tables.csv

What is measured with the zoo's released networks on the test images of CIFAR-10, which
TensorFlow Datasets downloads, with its tables (CSV) and pictures (PNG):

  keras-roots-reproduce --results=table2,figure5 --output_dir=results

  table2   Deep Roots, Table 2: accuracy of Network in Network beside the paper's, with
           the paired test against the dense network, int8 accuracy, size and latency
  figure5  Deep Roots, Figure 5: error against multiply-adds, parameters and latency
  figure6  Deep Roots, Figure 6: correlation of filters between two layers
  table1   Coordinating Filters, Table 1: error and ranks with and without forces, and
           after decomposition; rank spectra

and everything at once:

  keras-roots-reproduce --all --output_dir=results

Latencies are of LiteRT on one thread; leave the machine alone meanwhile.
"""

from pathlib import Path

from keras_roots.training import data, reports
from keras_roots.training.commands import flags
from keras_roots.training.evaluation import Conditions
from keras_roots.training.options import option, options

# In an order in which each finds what it needs.
RESULTS = {
    "table2": reports.table2,
    "figure5": reports.figure5,
    "figure6": reports.figure6,
    "table1": reports.table1,
}
COUNTS = "counts.csv"


@options
class Reproduction:
    """What to reproduce, and how results are measured."""

    table: tuple[str, ...] = option(
        ("all",),
        "Table of counts to reproduce; may be given several times.",
        choices=("all", *reports.tables()),
        repeated=True,
    )
    csv: str | None = option(None, "File to write the counts to as well.")
    results: tuple[str, ...] | None = option(
        None, f"What to measure, of {', '.join(RESULTS)}.", choices=RESULTS
    )
    all: bool = option(False, "Whether to reproduce everything.")
    output_dir: str | None = option(
        None, "Folder for tables and pictures; required for results."
    )
    runs: int = option(200, "Timed calls of each LiteRT file, at least.", least=1)
    threads: int = option(1, "Threads of the LiteRT runtime for accuracies.", least=1)

    def __post_init__(self):
        if (self.results or self.all) and not self.output_dir:
            raise ValueError(
                "`output_dir` is required: a folder for tables and pictures"
            )


def main(given) -> None:
    """Reproduces what the flags name."""
    asked = given[Reproduction]
    results = RESULTS if asked.all else asked.results or ()
    csv = asked.csv
    if results:
        Path(asked.output_dir).mkdir(parents=True, exist_ok=True)
    if asked.all and csv is None:
        csv = str(Path(asked.output_dir, COUNTS))
    if asked.all or not results:
        every = "all" in asked.table
        reports.print_tables(list(reports.tables()) if every else asked.table, csv)
    if not results:
        return
    where = given[data.Location]
    name = where.dataset if given.present("dataset") else reports.DATASET
    dataset = data.open_dataset(name, where.data_dir)
    conditions = Conditions(dataset, Path(asked.output_dir), asked.runs, asked.threads)
    for result in (name for name in RESULTS if name in results):
        for path in RESULTS[result](conditions):
            print(path)


run = flags.command(main, __doc__, Reproduction, data.Location)
