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
  pointwise  low ranks for the 1x1s of a network with filter groups, with and without
             force
  frontier   groups, forces, low ranks, pruning and int8 together: error against latency
  distillation  what training wins back of a network made cheaper, without labels and
             with them, at several parts of the multiply-adds and of the time
  force      forces between filters, at several strengths, beside the same training
             without one, decomposed by kernels and by responses

Networks are trained and measured on CIFAR-10, which TensorFlow Datasets downloads. The
table of distillation takes any trained networks, and keeps the lines of others:

  keras-roots-experiments --table=distillation --networks=runs/googlenet \
      --dataset=imagenette/160px-v2 --runs=runs/experiments --output_dir=results

A row whose budget cannot be met says so; it is tried again once its folder is removed.
--measure measures times anew, on a quiet machine, of rows that are done.
"""

import dataclasses
from pathlib import Path

from keras_roots.training import experiments
from keras_roots.training.commands import flags
from keras_roots.training.data import Location
from keras_roots.training.options import option, options
from keras_roots.training.stages import TrainingRun

DATASET = "cifar10"


@options
class Choice:
    """Which rows of which tables run."""

    table: tuple[str, ...] = option(
        tuple(experiments.TABLES),
        "Table to make; may be given several times.",
        choices=tuple(experiments.TABLES),
        repeated=True,
    )
    runs: str | None = option(None, "Folder for everything that the rows write.")
    networks: tuple[str, ...] = option(
        (),
        "Networks of the table of distillation, in place of its own: released for "
        "--dataset, .keras files, or folders of trainings (./NAME); separated by "
        "commas.",
    )
    only: str | None = option(
        None, "Regular expression for the whole names of the rows to run."
    )
    epochs: int | None = option(
        None,
        "Epochs of every training, in place of the table's own; 0 trains nothing.",
        least=0,
    )
    render: bool = option(False, "Whether to write what is done, and run nothing.")
    measure: bool = option(
        False, "Whether to measure times anew of what is done, and run nothing."
    )


def main(given) -> None:
    """Runs and writes the tables that the flags name."""
    choice, run_ = given[Choice], given[TrainingRun]
    if not choice.runs or not run_.output_dir:
        raise ValueError("--runs and --output_dir are required: folders")
    if choice.render and choice.measure:
        raise ValueError("Give --render or --measure, not both")
    where = given[Location]
    if not given.present("dataset"):
        where = dataclasses.replace(where, dataset=DATASET)
    tables = {name: _table(name, choice, where.dataset) for name in choice.table}
    for table in tables.values():
        experiments.chosen_rows(table, choice.only)
    dataset = None if choice.render else where.open()
    Path(run_.output_dir).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        folder = Path(choice.runs, name)
        if dataset is not None:
            context = dataclasses.replace(
                run_.context(dataset), folder=folder, shared=choice.runs
            )
            if choice.measure:
                experiments.measure(table, context, again=True)
            else:
                experiments.run(table, context, choice.only, choice.epochs)
        written = experiments.write(name, table, folder, run_.output_dir)
        print(f"\n{written[1].read_text('utf-8')}")
        for line in experiments.missing(table, folder):
            print(f"missing: {line}")
        for path in written:
            print(path)


def _table(name, choice, dataset) -> experiments.Table:
    table = experiments.TABLES[name]
    if not choice.networks:
        return table
    if table.of_networks is None:
        able = [n for n, t in experiments.TABLES.items() if t.of_networks is not None]
        raise ValueError(
            f"`networks` needs `table` to be of {able}: the others have networks of "
            f"their own. Received: networks={choice.networks}, table={name!r}"
        )
    return table.of_networks(choice.networks, dataset)


run = flags.command(main, __doc__, Location, TrainingRun, Choice)
