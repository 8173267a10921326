"""Filter groups and ranks together, layer by layer, for one budget."""

from keras_roots.planning.plan import (
    CompressionPlan,
    LayerChoice,
    Planner,
    plan_compression,
)

__all__ = ["CompressionPlan", "LayerChoice", "Planner", "plan_compression"]
