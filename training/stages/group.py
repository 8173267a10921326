"""Stages that give the network filter groups."""

import dataclasses

import keras

from keras_roots.convolutions import recalibrate
from keras_roots.groups import CARRY_OVER, plan_rootify
from keras_roots.models import TOPOLOGIES
from keras_roots.training import plans
from keras_roots.training.options import option, options
from keras_roots.training.stages.layer_names import HELP, layers_of
from keras_roots.training.stages.stage import Stage
from keras_roots.utils import checks

_NONE = "none"  # for the carry-over of no weights


def recalibration_images(default: int = 1000):
    """Returns the option of the images that statistics are estimated on."""
    return option(
        default,
        "Training images to estimate BatchNorm's statistics anew, 0 for none; also the "
        "sample images of responses.",
        least=0,
    )


@options
class Groups:
    """How a network gets its filter groups, as for `keras_roots.rootify`."""

    groups: int | tuple[int, ...] = option(
        64, "Groups of the first stage, or of every stage."
    )
    group_topology: str = option(
        "root",
        "Whether groups halve, stay or double from stage to stage.",
        choices=tuple(TOPOLOGIES),
    )
    layers: str = option("all", f"Layers to change: {HELP}.")
    mix: bool = option(False, "Add 1x1s where groups would not mix.")
    carry_over: str = option(
        "energy",
        "Weights that stay, as for keras_roots.rootify.",
        choices=tuple(how or _NONE for how in CARRY_OVER),
    )
    recalibration_images: int = recalibration_images()

    def __post_init__(self):
        given = self.groups if isinstance(self.groups, tuple) else (self.groups,)
        for count in given:
            if not checks.is_integer(count) or count < 1:
                raise ValueError(
                    "`groups` must be a positive integer, or one per stage. "
                    f"Received: groups={self.groups!r}"
                )


@dataclasses.dataclass(frozen=True)
class Group(Stage):
    """Gives the network filter groups, with BatchNorm's statistics estimated anew.

    Attributes:
        settings: The groups.
    """

    name: str = "grouped"
    settings: Groups = Groups()

    def check(self):
        """As for every stage."""
        layers_of(self.settings.layers)

    def run(self, model, folder, context):
        """As for every stage; writes `plan.csv`."""
        how = self.settings
        images = None
        if how.recalibration_images:
            images = context.sample(model, how.recalibration_images)
        carry_over = None if how.carry_over == _NONE else how.carry_over
        plan = plan_rootify(
            model,
            how.groups,
            how.group_topology,
            layers_of(how.layers),
            mix=how.mix,
            carry_over=carry_over,
            images=images if carry_over == "responses" else None,
            seed=context.seed,
        )
        context.say(str(plan))
        plans.write(folder, plan)
        small = plan.apply()
        if images is not None:
            small = recalibrate(small, images)
        return small, {"layer_groups": {row.name: row.groups for row in plan.layers}}


@dataclasses.dataclass(frozen=True)
class Fresh(Group):
    """Gives the network filter groups and new random weights, all of them."""

    settings: Groups = Groups(carry_over=_NONE)

    def run(self, model, folder, context):
        """As for every stage."""
        small, extra = super().run(model, folder, context)
        return keras.models.clone_model(small), extra
