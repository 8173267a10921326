"""Stages that change a network in a folder of their own, resumably."""

from keras_roots.training.stages.context import Context, Run, TrainingRun
from keras_roots.training.stages.decompose import (
    Budget,
    Decompose,
    Decomposition,
    MeetBudget,
)
from keras_roots.training.stages.finetune import Distil, FineTune, FineTuning
from keras_roots.training.stages.group import Fresh, Group, Groups
from keras_roots.training.stages.optimize import METHODS as OPTIMIZATIONS
from keras_roots.training.stages.optimize import Optimization, Optimize
from keras_roots.training.stages.outcome import Outcome
from keras_roots.training.stages.sparsify import Prune, Sparsification, Sparsify
from keras_roots.training.stages.stage import Keep, Stage, run
from keras_roots.training.stages.train import Force, Forces, Train, train

__all__ = [
    "Budget",
    "Context",
    "Decompose",
    "Decomposition",
    "Distil",
    "FineTune",
    "FineTuning",
    "Force",
    "Forces",
    "Fresh",
    "Group",
    "Groups",
    "Keep",
    "MeetBudget",
    "OPTIMIZATIONS",
    "Optimization",
    "Optimize",
    "Outcome",
    "Prune",
    "Run",
    "Sparsification",
    "Sparsify",
    "Stage",
    "Train",
    "TrainingRun",
    "run",
    "train",
]
