"""Filter groups and ranks together, layer by layer, for one budget."""

from keras_roots.compression.options import WAYS, check_ways
from keras_roots.compression.planner import (
    CompressionPlan,
    LayerChoice,
    Planner,
    plan_compression,
)

__all__ = [
    "CompressionPlan",
    "LayerChoice",
    "Planner",
    "WAYS",
    "check_ways",
    "plan_compression",
]
