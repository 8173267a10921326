r"""Trains a network for int8, or with fewer or shared weights, and exports it.

By tensorflow-model-optimization, on a twin of the network in tf_keras:

  qat      quantisation-aware training: the network computes in training what its int8
           file will compute
  prune    the smallest weights become zero, more and more of them (Zhu and Gupta, 2017)
  cluster  each kernel is left with a few different weights, which are trained

Examples, of a released network and of a file:

  keras-roots-optimize --method=qat --model=root_nin --root=8 --weights=cifar10 \
      --dataset=cifar10 --output_dir=runs/nin-qat
  keras-roots-optimize --method=prune --sparsity=0.8 --epochs=10 \
      --from=runs/mine/model.keras --dataset=photographs --output_dir=runs/mine-pruned

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
import json

from absl import flags

from keras_roots.training import data, evaluation, stages
from keras_roots.training.commands import flags as shared
from keras_roots.training.commands import recipe_flags, start_flags
from keras_roots.training.stages import OPTIMIZATION_METHODS, OptimizationSettings
from keras_roots.training.trainer import Recipe

_SHARED_FLAGS = ("from", *(name for name in shared.TRAINING if name != "distribution"))

# The methods that each flag is for.
_FOR = {
    "sparsity": ("prune",),
    "initial_sparsity": ("prune",),
    "begin": ("prune",),
    "end": ("prune",),
    "clusters": ("cluster",),
    "preserve_zeros": ("qat", "cluster"),
}


def main(argv) -> None:
    """Optimises the network as the flags say, and prints the result and the table."""
    del argv
    values = shared.FLAGS
    _check_flags()
    recipe = _recipe()
    dataset = data.open_dataset(values.dataset, values.data_dir, values.holdout)
    names = [field.name for field in dataclasses.fields(OptimizationSettings)]
    result, rows = stages.optimize(
        start_flags.start().start(dataset),
        dataset,
        OptimizationSettings(**{name: values[name].value for name in names}),
        values.output_dir,
        recipe,
        start=start_flags.start().describe() | {"holdout": values.holdout},
        seed=values.seed,
    )
    print(json.dumps(result, indent=2))
    print(evaluation.render_twin_files(rows))


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    default = OptimizationSettings("qat")
    own = (
        flags.DEFINE_enum(
            "method", default.method, list(OPTIMIZATION_METHODS), "What to do."
        ),
        flags.DEFINE_float(
            "sparsity", default.sparsity, "Part of each kernel's weights to be zero."
        ),
        flags.DEFINE_float(
            "initial_sparsity",
            default.initial_sparsity,
            "That part where pruning begins.",
        ),
        flags.DEFINE_float(
            "begin", default.begin, "Part of the run after which pruning begins."
        ),
        flags.DEFINE_float(
            "end", default.end, "Part of the run after which --sparsity is reached."
        ),
        flags.DEFINE_integer(
            "clusters", default.clusters, "Different weights that a kernel is left."
        ),
        flags.DEFINE_bool(
            "preserve_zeros",
            default.preserve_zeros,
            "Whether weights that are zero stay zero, after pruning.",
        ),
    )
    names = tuple(flag.name for flag in own)
    return (*_SHARED_FLAGS, *recipe_flags.define(), *names)


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


def _check_flags():
    """Refuses what cannot be, or would have no effect."""
    values = shared.FLAGS
    if not values.output_dir:
        raise ValueError("--output_dir is required: a folder for what the run writes")
    start_flags.start().check_trained()
    for name, methods in _FOR.items():
        if values[name].present and values.method not in methods:
            raise ValueError(
                f"--{name} is for --method={' or '.join(methods)}. "
                f"Received: --method={values.method} --{name}={values[name].value}"
            )


def _recipe() -> Recipe:
    values = shared.FLAGS
    method = OPTIMIZATION_METHODS[values.method]
    recipe = recipe_flags.recipe()
    changes = {}
    if values.epochs is None:
        changes["epochs"] = method.epochs
    if values.learning_rate is None:
        changes["learning_rate"] = recipe.learning_rate * method.rate
    return dataclasses.replace(recipe, **changes)
