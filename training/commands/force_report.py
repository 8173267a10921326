r"""Gathers compressions into the tables and pictures of the Force Regularization paper.

Example, over the output directories of keras-roots-compress in a folder:

  keras-roots-force-report --runs=runs/force --output_dir=results

Writes force.csv, a row per network: error, ranks, mean rank ratio, and error and
multiply-adds after decomposition and fine-tuning; tradeoff-MODEL.png, error against
rank over the strengths (Figure 6); curves-MODEL.png, the fine-tuning of decomposed
networks (Figure 7); spectra-MODEL.png, eigenvalues of the filters; filters-MODEL.png,
those of the first layer in the plane (Figure 2). Prints Table 1 with the paper's rows.
"""

import os
from pathlib import Path

from keras_roots import utils
from keras_roots.training.commands import flags
from keras_roots.training.options import option, options
from keras_roots.training.reports import force_runs

TABLE = "force.csv"


@options
class Folders:
    """Where compressions are, and where their report goes."""

    runs: str | None = option(
        None, "Folder with output directories of keras-roots-compress; required."
    )
    output_dir: str | None = option(None, "Folder for the report; required.")

    def __post_init__(self):
        if not self.runs or not self.output_dir:
            raise ValueError("`runs` and `output_dir` are required: folders")


def main(given) -> None:
    """Writes tables and pictures and prints the table."""
    folders = given[Folders]
    rows = force_runs.collect(folders.runs)
    os.makedirs(folders.output_dir, exist_ok=True)
    utils.write_csv(Path(folders.output_dir, TABLE), rows)
    print(force_runs.render(rows))
    if utils.is_installed("matplotlib"):
        for path in force_runs.draw(folders.runs, rows, folders.output_dir):
            print(path)


run = flags.command(main, __doc__, Folders)
