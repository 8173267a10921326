"""Filter groups for any network, with its trained weights carried over."""

from keras_roots.rooting.plan import LayerGroups, RootPlan, plan_rootify
from keras_roots.rooting.rootify import rootify

__all__ = ["LayerGroups", "RootPlan", "plan_rootify", "rootify"]
