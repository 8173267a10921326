r"""Gives a trained network filter groups, and trains it on.

Examples, of a released network and of a file:

  keras-roots-rootify --model=root_nin --weights=cifar10 --dataset=cifar10 \
      --groups=8 --epochs=10 --output_dir=runs/nin-rootified
  keras-roots-rootify --from=runs/mine/model.keras --dataset=./photographs \
      --groups=16 --mix --output_dir=runs/mine-rootified

Prints which layers get how many groups, the accuracy before, right after (BatchNorm's
statistics estimated anew), and after training. A run that was stopped goes on when the
same command is given again; --epochs=0 trains nothing. --model tells the recipe, whose
learning rate is taken to a fifth unless --learning_rate says otherwise. The network
right after is in the folder grouped.
"""

import dataclasses
import functools
import json

from keras_roots.training import stages
from keras_roots.training.commands import flags
from keras_roots.training.data import Source
from keras_roots.training.networks import Start
from keras_roots.training.stages import Groups, TrainingRun
from keras_roots.training.trainer import Changes, get_recipe


def main(given) -> None:
    """Gives the network groups as the flags say, and prints the result."""
    start, source = given[Start], given[Source]
    start.check_trained()
    changes = given[Changes].given()
    trains = changes.get("epochs") != 0
    name = "grouped" if trains else ""
    course = [stages.Keep("before"), stages.Group(name, settings=given[Groups])]
    if trains:
        recipe = get_recipe(start.model, source.dataset, **changes)
        rate = changes.get("learning_rate", recipe.learning_rate / 5)
        recipe = dataclasses.replace(recipe, learning_rate=rate)
        course.append(stages.Train("", recipe=recipe))
    context = given[TrainingRun].context(source.open())
    make = functools.partial(start.start, context.dataset)
    outcome = stages.run(course, context, make, {"start": start.describe()})
    print(json.dumps(outcome.result(""), indent=2))


run = flags.command(main, __doc__, Start, Source, TrainingRun, Changes, Groups)
