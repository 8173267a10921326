"""Tables of experiments, a page of data each."""

from keras_roots.training.experiments import (
    distillation,
    force,
    frontier,
    pointwise,
    rootify,
)
from keras_roots.training.experiments.tables import (
    Table,
    chosen_rows,
    measure,
    missing,
    run,
    write,
)

TABLES = {
    "rootify": rootify.TABLE,
    "pointwise": pointwise.TABLE,
    "frontier": frontier.TABLE,
    "distillation": distillation.TABLE,
    "force": force.TABLE,
}

__all__ = ["TABLES", "Table", "chosen_rows", "measure", "missing", "run", "write"]
