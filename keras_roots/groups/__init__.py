"""Filter groups for any network, with its trained weights carried over."""

from keras_roots.groups.asking import check_seed, is_integer
from keras_roots.groups.budget import COSTS, with_groups
from keras_roots.groups.losses import lost_responses
from keras_roots.groups.mixing import find_unmixed
from keras_roots.groups.plan import CARRY_OVER, LayerGroups, RootPlan, plan_rootify
from keras_roots.groups.rootify import rootify
from keras_roots.groups.stages import groupable, spatial_convolutions

__all__ = [
    "CARRY_OVER",
    "COSTS",
    "LayerGroups",
    "RootPlan",
    "check_seed",
    "find_unmixed",
    "groupable",
    "is_integer",
    "lost_responses",
    "plan_rootify",
    "rootify",
    "spatial_convolutions",
    "with_groups",
]
