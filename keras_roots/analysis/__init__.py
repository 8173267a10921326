"""Analysis of filters and of results, in numbers and in pictures.

Pictures of spectra, clusters, correlations, training curves, trade-offs and costs need
matplotlib: pip install 'keras_roots[plots]'. Correlations between layers and paired
comparisons of networks do not.
"""

from keras_roots.analysis.correlation import (
    block_structure,
    filter_correlation,
    plot_correlation,
)
from keras_roots.analysis.curves import plot_curves, plot_tradeoff
from keras_roots.analysis.figures import (
    Style,
    handle,
    legend,
    panels,
    save,
    style_axes,
    styles,
)
from keras_roots.analysis.filters import plot_filters, project_filters
from keras_roots.analysis.paired import PairedComparison, compare_paired
from keras_roots.analysis.pareto import plot_pareto
from keras_roots.analysis.spectra import plot_spectra

__all__ = [
    "PairedComparison",
    "Style",
    "block_structure",
    "compare_paired",
    "filter_correlation",
    "handle",
    "legend",
    "panels",
    "plot_correlation",
    "plot_curves",
    "plot_filters",
    "plot_pareto",
    "plot_spectra",
    "plot_tradeoff",
    "project_filters",
    "save",
    "style_axes",
    "styles",
]
