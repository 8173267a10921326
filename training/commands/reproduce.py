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

from absl import flags

from keras_roots.training import data, reports
from keras_roots.training.commands import flags as shared
from keras_roots.training.evaluation import Laboratory

# In an order in which each finds what it needs.
RESULTS = {
    "table2": reports.table2,
    "figure5": reports.figure5,
    "figure6": reports.figure6,
    "table1": reports.table1,
}
COUNTS = "counts.csv"
_SHARED_FLAGS = ("csv", "dataset", "data_dir", "output_dir", "threads")


def main(argv) -> None:
    """Reproduces what the flags name."""
    del argv
    values = shared.FLAGS
    results = list(RESULTS) if values.all else values.results
    unknown = sorted(set(results) - set(RESULTS))
    if unknown:
        raise ValueError(
            f"--results must be of {', '.join(RESULTS)}, separated by commas. "
            f"Received: {', '.join(unknown)}"
        )
    if results and not values.output_dir:
        raise ValueError("--output_dir is required: a folder for tables and pictures")
    if values.all or not results:
        _count()
    if results:
        _measure(results)


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    flags.DEFINE_multi_enum(
        "table",
        ["all"],
        ["all", *reports.tables()],
        "Table of counts to reproduce; may be given several times.",
    )
    flags.DEFINE_list("results", [], f"What to measure, of {', '.join(RESULTS)}.")
    flags.DEFINE_bool("all", False, "Whether to reproduce everything.")
    flags.DEFINE_integer(
        "runs", 200, "Timed calls of each LiteRT file, at least.", lower_bound=1
    )
    return (*_SHARED_FLAGS, "table", "results", "all", "runs")


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


def _count():
    values = shared.FLAGS
    names = list(reports.tables()) if "all" in values.table else values.table
    csv = values.csv
    if values.all and csv is None:
        Path(values.output_dir).mkdir(parents=True, exist_ok=True)
        csv = str(Path(values.output_dir, COUNTS))
    reports.print_tables(names, csv)


def _measure(results):
    values = shared.FLAGS
    name = values.dataset if values["dataset"].present else reports.DATASET
    dataset = data.open_dataset(name, values.data_dir)
    output_dir = Path(values.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    laboratory = Laboratory(dataset, output_dir, values.runs, values.threads)
    for result in (name for name in RESULTS if name in results):
        for path in RESULTS[result](laboratory):
            print(path)
