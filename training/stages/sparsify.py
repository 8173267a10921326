"""Stages that make the network sparse: dead filters removed, small weights pruned."""

import dataclasses

from keras_roots import sparsity
from keras_roots.regularizers import GroupLasso, with_regularizer
from keras_roots.training import trainer
from keras_roots.training.options import option, options
from keras_roots.training.stages.stage import Stage
from keras_roots.training.stages.train import Train
from keras_roots.utils import checks


@options
class Sparsification:
    """How the small network is made sparse as well (Wen et al., section 5.4)."""

    group_lasso: float = option(
        0.0,
        "Strength of a group lasso over filters, after whose training dead ones are "
        "removed; 0 to leave that training out.",
        least=0,
    )
    threshold: float = option(
        0.02, "Norm of dead filters over the layer's largest.", least=0
    )
    sparsity: float = option(
        0.0, "Part of the weights to prune before the last training.", least=0
    )

    def __post_init__(self):
        for name in ("threshold", "sparsity"):
            checks.part(name, getattr(self, name), zero=True)


@dataclasses.dataclass(frozen=True)
class Sparsify(Train):
    """Removes dead filters after a group lasso, prunes small weights, and trains.

    Attributes:
        settings: How.
    """

    name: str = "sparsify"
    settings: Sparsification = Sparsification()

    def run(self, model, folder, context):
        """As for every stage."""
        how = self.settings
        if how.group_lasso:
            first = folder / "group_lasso"
            first.mkdir(exist_ok=True)
            lasso = GroupLasso(how.group_lasso)
            context.fit(
                model,
                self.recipe,
                first,
                adapt=lambda trainee: with_regularizer(trainee, lasso),
            )
            context.say(str(sparsity.dead_filters(model, how.threshold)))
            model = sparsity.remove_dead_filters(model, how.threshold)
        model = sparsity.prune(model, how.sparsity)
        model, extra = super().run(model, folder, context)
        zeros = round(sparsity.sparsity_report(model).fraction, 4)
        seconds = sum(map(trainer.seconds, [folder, folder / "group_lasso"]))
        return model, extra | {"seconds": round(seconds, 1), "zeros": zeros}


@dataclasses.dataclass(frozen=True)
class Prune(Stage):
    """Sets the smallest weights of every kernel to zero, where training leaves them.

    Attributes:
        sparsity: Part of the weights.
    """

    name: str = "pruned"
    sparsity: float = 0.5

    def run(self, model, folder, context):
        """As for every stage."""
        model = sparsity.prune(model, self.sparsity)
        zeros = sparsity.sparsity_report(model).fraction
        return model, {"zeros": round(zeros, 4)}
