r"""Trains a model of the zoo.

Example, on the embedded digits (a minute on two cores):

  keras-roots-train --model=root_nin --root=8 --output_dir=runs/digits-root8

and on CIFAR-10, which TensorFlow Datasets downloads:

  keras-roots-train --model=root_nin --root=8 --dataset=cifar10 \
      --output_dir=runs/cifar10-root8

A run that was stopped goes on when the same command is given again. The output
directory holds config.json, log.csv, last.weights.h5 (state of the last epoch, with the
optimiser's), best.weights.h5 and, at the end, model.keras and result.json.
"""

import json

from keras_roots.training import stages
from keras_roots.training.commands import flags
from keras_roots.training.data import Source
from keras_roots.training.networks import Zoo
from keras_roots.training.stages import TrainingRun
from keras_roots.training.trainer import Changes, get_recipe


def main(given) -> None:
    """Trains as the flags say and prints the result."""
    network, source = given[Zoo], given[Source]
    recipe = get_recipe(network.model, source.dataset, **given[Changes].given())
    context = given[TrainingRun].context(source.open())
    print(json.dumps(stages.train(network, recipe, context), indent=2))


run = flags.command(main, __doc__, Zoo, Source, TrainingRun, Changes)
