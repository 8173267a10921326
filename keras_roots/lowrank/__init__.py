"""Low-rank approximation of convolutions: their ranks, and cheaper layers."""

from keras_roots.lowrank.candidates import Candidate, with_responses
from keras_roots.lowrank.choices import check_arguments, choose_methods
from keras_roots.lowrank.decompose import decompose
from keras_roots.lowrank.in_order import decompose_in_order, together
from keras_roots.lowrank.methods import ALEXNET_LRA, BY_RESPONSES, METHODS, factorise
from keras_roots.lowrank.plan import (
    DecompositionPlan,
    LayerDecomposition,
    plan_decomposition,
)
from keras_roots.lowrank.ranks import LayerRank, RankAnalysis, rank_analysis
from keras_roots.lowrank.replacement import replace_layers
from keras_roots.lowrank.schemes import break_even_rank, theoretical_speedup
from keras_roots.lowrank.shrink import shrink

__all__ = [
    "ALEXNET_LRA",
    "BY_RESPONSES",
    "Candidate",
    "DecompositionPlan",
    "LayerDecomposition",
    "LayerRank",
    "METHODS",
    "RankAnalysis",
    "break_even_rank",
    "check_arguments",
    "choose_methods",
    "decompose",
    "decompose_in_order",
    "factorise",
    "plan_decomposition",
    "rank_analysis",
    "replace_layers",
    "shrink",
    "theoretical_speedup",
    "together",
    "with_responses",
]
