"""Filter groups and ranks together, layer by layer, for one budget."""

from keras_roots.compression.compress import compress
from keras_roots.compression.evaluation import Evaluation, flat, flat_columns
from keras_roots.compression.fidelity import Fidelity, fidelity
from keras_roots.compression.meet_budget import (
    QUANTIZATIONS,
    Met,
    carry_out,
    meet_budget,
)
from keras_roots.compression.options import JUDGES, WAYS
from keras_roots.compression.plan import COSTS, CompressionPlan
from keras_roots.compression.planner import Planner, plan_compression
from keras_roots.compression.report import SAMPLES, write_report
from keras_roots.compression.result import Compressed

__all__ = [
    "COSTS",
    "CompressionPlan",
    "Compressed",
    "Evaluation",
    "Fidelity",
    "JUDGES",
    "Met",
    "Planner",
    "QUANTIZATIONS",
    "SAMPLES",
    "WAYS",
    "carry_out",
    "compress",
    "fidelity",
    "flat",
    "flat_columns",
    "meet_budget",
    "plan_compression",
    "write_report",
]
