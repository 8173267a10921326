r"""Trains a network for int8, or with fewer or shared weights, and exports it.

By tensorflow-model-optimization, on a twin of the network in tf_keras:

  qat      quantisation-aware training: the network computes in training what its int8
           file will compute
  prune    the smallest weights become zero, more and more of them (Zhu and Gupta, 2017)
  cluster  each kernel keeps a few different weights, which are trained

Examples, of a released network and of a file:

  keras-roots-optimize --method=qat --model=root_nin --root=8 --weights=cifar10 \
      --dataset=cifar10 --output_dir=runs/nin-qat
  keras-roots-optimize --method=prune --sparsity=0.8 --epochs=10 \
      --from=runs/mine/model.keras --dataset=./photographs --output_dir=runs/mine-pruned

Prints a table, before and after, of accuracy on the test split, bytes as they are and
compressed by zlib, weights that are not zero, different values in a kernel, and latency
in LiteRT on one thread. A run that was stopped goes on when the same command is given
again. --model tells the recipe, but for what flags say, and but for epochs and learning
rate:

  qat      3 epochs at a twentieth of the recipe's rate
  prune    10 epochs at a tenth
  cluster  3 epochs at a hundredth: all weights of a cluster move its centre
"""

import dataclasses
import functools
import json

from keras_roots.training import stages
from keras_roots.training.commands import flags
from keras_roots.training.data import Source
from keras_roots.training.evaluation import render_twin_files
from keras_roots.training.networks import Start
from keras_roots.training.stages import OPTIMIZATIONS, Optimization, Run
from keras_roots.training.trainer import Changes, get_recipe
from keras_roots.utils import read_csv

# The methods that each flag is for.
_FOR = {
    "sparsity": ("prune",),
    "initial_sparsity": ("prune",),
    "begin": ("prune",),
    "end": ("prune",),
    "clusters": ("cluster",),
    "preserve_zeros": ("qat", "cluster"),
}


def main(given) -> None:
    """Optimises the network as the flags say, and prints the result and the table."""
    start = given[Start]
    stage = plan(given)
    context = given[Run].context(given[Source].open())
    make = functools.partial(start.start, context.dataset)
    outcome = stages.run([stage], context, make, {"start": start.describe()})
    print(json.dumps(outcome.result(""), indent=2))
    print(render_twin_files(read_csv(outcome.folder / "table.csv")))


def plan(given) -> stages.Optimize:
    """Returns the stage that the flags ask for.

    Raises:
        ValueError: A flag is impossible, or would have no effect.
    """
    start, settings = given[Start], given[Optimization]
    start.check_trained()
    for name, methods in _FOR.items():
        if given.present(name) and settings.method not in methods:
            raise ValueError(
                f"--{name} is for --method={' or '.join(methods)}. "
                f"Received: --method={settings.method} --{name}={given.value(name)}"
            )
    changes = given[Changes].given()
    recipe = get_recipe(start.model, given[Source].dataset, **changes)
    method = OPTIMIZATIONS[settings.method]
    own = {"epochs": method.epochs, "learning_rate": recipe.learning_rate * method.rate}
    own = {name: value for name, value in own.items() if name not in changes}
    recipe = dataclasses.replace(recipe, **own)
    return stages.Optimize(settings=settings, recipe=recipe)


run = flags.command(main, __doc__, Start, Source, Run, Changes, Optimization)
