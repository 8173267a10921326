r"""Releases a trained network: its weights, their entry in the index, its model card.

Examples, of a run of keras-roots-train and of a stage of keras-roots-compress:

  keras-roots-release --run=runs/cifar10-root8 --zoo=zoo
  keras-roots-release --run=runs/resnet20-l2/force --as=cifar10-force-l2 --zoo=zoo

The zoo is a folder with index.json, weights/ and cards/. The network's accuracy is
measured on the whole test split, as Keras model and as LiteRT files in float32 and
int8. Networks that no constructor builds, decomposed ones, are released as whole .keras
files. What was released by the same name is replaced. --cards writes the model cards
of a zoo anew, from its index, and does nothing else.
"""

import json

from keras_roots.training import reports
from keras_roots.training.commands import flags
from keras_roots.training.options import option, options


@options
class Release:
    """What is released, and where to."""

    run: str | None = option(
        None, "Output directory of a training, or of a compression's stage."
    )
    name: str | None = option(
        None, "Name to release the weights as; by default the data set's.", flag="as"
    )
    zoo: str = option("zoo", "Folder of the zoo.")
    cards: bool = option(False, "Only write the model cards anew.")
    data_dir: str | None = option(
        None, "Where TensorFlow Datasets keeps its data sets."
    )
    threads: int = option(1, "Threads of the LiteRT runtime.", least=1)


def main(given) -> None:
    """Releases what the flags name and prints its entry."""
    chosen = given[Release]
    if chosen.cards == bool(chosen.run):
        raise ValueError(
            "Give either --run, the output directory of a training, or --cards"
        )
    if chosen.cards:
        reports.write_cards(chosen.zoo)
        return
    entry = reports.release(
        chosen.run,
        chosen.zoo,
        chosen.name,
        data_dir=chosen.data_dir,
        threads=chosen.threads,
    )
    print(json.dumps(entry, indent=2))


run = flags.command(main, __doc__, Release)
