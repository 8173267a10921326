"""Low-rank approximation of convolutions: their ranks, and cheaper layers."""

from keras_roots.lowrank.costs import break_even_rank, theoretical_speedup
from keras_roots.lowrank.decompose import decompose
from keras_roots.lowrank.latency import ConvSpec, LatencyTable
from keras_roots.lowrank.methods import ALEXNET_LRA, METHODS
from keras_roots.lowrank.plan import LayerPlan, Plan, plan_decomposition
from keras_roots.lowrank.ranks import LayerRank, RankAnalysis, rank_analysis
from keras_roots.lowrank.recalibration import recalibrate
from keras_roots.lowrank.shrink import shrink

__all__ = [
    "ALEXNET_LRA",
    "METHODS",
    "ConvSpec",
    "LatencyTable",
    "LayerPlan",
    "LayerRank",
    "Plan",
    "RankAnalysis",
    "break_even_rank",
    "decompose",
    "plan_decomposition",
    "rank_analysis",
    "recalibrate",
    "shrink",
    "theoretical_speedup",
]
