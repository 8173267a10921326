"""Tables of experiments, a page of data each."""

from keras_roots.training.experiments.budget import TABLE as BUDGET
from keras_roots.training.experiments.frontier import TABLE as FRONTIER
from keras_roots.training.experiments.pointwise import TABLE as POINTWISE
from keras_roots.training.experiments.rootify import TABLE as ROOTIFY
from keras_roots.training.experiments.tables import chosen_rows, missing, run, write

__all__ = [
    "BUDGET",
    "FRONTIER",
    "POINTWISE",
    "ROOTIFY",
    "chosen_rows",
    "missing",
    "run",
    "write",
]
