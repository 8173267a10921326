"""Low-rank approximation of convolutions: their ranks, and cheaper layers."""

from keras_roots.lowrank.ranks import LayerRank, RankAnalysis, rank_analysis

__all__ = [
    "LayerRank",
    "RankAnalysis",
    "rank_analysis",
]
