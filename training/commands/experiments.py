r"""Runs experiments of several networks each, and writes their tables and pictures.

All rows of a table:

  keras-roots-experiments --table=rootify --runs=runs/experiments --output_dir=results

runs those that are not done yet, in runs/experiments/rootify/ROW, and writes
results/experiments/rootify.csv, rootify.md and rootify.png. A command that was stopped
goes on when it is given again; rows share the stages that they have in common, of
other tables in the folder too. --only='nin-.*' runs the rows of such names alone,
--epochs=0 all that needs no training, and --render nothing: it writes the tables of
what is done, and says what is missing in --runs.

A row of which --runs holds nothing keeps the line that it has in --output_dir already:
rows of a table can be run on several machines, one after the other.

  rootify    filter groups for trained networks: error right after, and after training
             on, against training from scratch
  budget     groups layer by layer for a budget against one schedule, at equal cost
  pointwise  low ranks for the 1x1s of a network with filter groups, with and without
             force
  frontier   groups, forces, low ranks, pruning and int8 together: error against latency

Networks are trained and measured on CIFAR-10, which TensorFlow Datasets downloads.
"""

from pathlib import Path

from absl import flags

from keras_roots.training import data, experiments
from keras_roots.training.commands import flags as shared
from keras_roots.training.stages import Bench

TABLES = {
    "rootify": experiments.ROOTIFY,
    "budget": experiments.BUDGET,
    "pointwise": experiments.POINTWISE,
    "frontier": experiments.FRONTIER,
}
DATASET = "cifar10"
_SHARED_FLAGS = ("dataset", "data_dir", "output_dir", "seed", "distribution")


def main(argv) -> None:
    """Runs and writes the tables that the flags name."""
    del argv
    values = shared.FLAGS
    if not values.runs or not values.output_dir:
        raise ValueError("--runs and --output_dir are required: folders")
    for name in values.table:
        experiments.chosen_rows(TABLES[name], values.only)
    if not values.render:
        named = values["dataset"].present
        dataset = data.open_dataset(
            values.dataset if named else DATASET, values.data_dir
        )
        bench = Bench(
            dataset,
            values.epochs,
            values.seed,
            values.distribution,
            runs=Path(values.runs),
        )
    for name in values.table:
        table, folder = TABLES[name], Path(values.runs, name)
        if not values.render:
            experiments.run(table, folder, bench, values.only)
        Path(values.output_dir).mkdir(parents=True, exist_ok=True)
        written = experiments.write(name, table, folder, values.output_dir)
        print(f"\n{written[1].read_text()}")
        for line in experiments.missing(table, folder):
            print(f"missing: {line}")
        for path in written:
            print(path)


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    flags.DEFINE_multi_enum(
        "table",
        list(TABLES),
        list(TABLES),
        "Table to make; may be given several times.",
    )
    flags.DEFINE_string("runs", None, "Folder for everything that the rows write.")
    flags.DEFINE_string(
        "only", None, "Regular expression for the whole names of the rows to run."
    )
    flags.DEFINE_integer(
        "epochs",
        None,
        "Epochs of every training, in place of the table's own; 0 trains nothing.",
        lower_bound=0,
    )
    flags.DEFINE_bool(
        "render", False, "Whether to write what is done, and run nothing."
    )
    own = ("table", "runs", "only", "epochs", "render")
    return (*_SHARED_FLAGS, *own)


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())
