"""Filter groups for any network, with its trained weights carried over."""

from keras_roots.groups.losses import OutputChanges, lost_responses, output_changes
from keras_roots.groups.mixing import find_unmixed
from keras_roots.groups.plan import CARRY_OVER, LayerGroups, RootPlan, plan_rootify
from keras_roots.groups.refit import group_fits
from keras_roots.groups.rootify import rootify
from keras_roots.groups.stages import groupable

__all__ = [
    "CARRY_OVER",
    "LayerGroups",
    "OutputChanges",
    "RootPlan",
    "find_unmixed",
    "group_fits",
    "groupable",
    "lost_responses",
    "output_changes",
    "plan_rootify",
    "rootify",
]
