"""Rank spectra: how the energy of a layer's filters is spread over directions."""

import os
from collections.abc import Mapping

import numpy as np

from keras_roots.analysis import figures
from keras_roots.lowrank import LayerRank, RankAnalysis
from keras_roots.utils import checks


def cumulative_energy(layer: LayerRank) -> np.ndarray:
    """Returns the part of the energy in the leading directions of a layer.

    Args:
        layer: Entry of a `RankAnalysis`.

    Returns:
        `[N / groups + 1]`: entry r is the part in the leading r directions of every
        group, from 0 to 1. With groups, of all of their energy together.
    """
    energy = np.cumsum(np.sum(layer.eigenvalues, axis=0))
    if energy[-1] == 0:
        return np.ones(len(energy) + 1)
    return np.append(0.0, energy / energy[-1])


def plot_spectra(analyses: dict[str, RankAnalysis], path: str | os.PathLike) -> None:
    """Draws the spectrum of every layer, one line per network.

    The lines of a coordinated network rise faster. A mark shows the rank
    (Wen et al., Force Regularization, ICCV 2017, section 3.1 and Table 1): with the
    error bound of the analysis, where the line crosses `1 - error`.

    Args:
        analyses: Rank analyses by the name of the network, of the same architecture:
            lines of layers of the same name share a panel.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There is nothing to draw, or the format is not known.
        OSError: The file cannot be written.

    Example:
        >>> plot_spectra({"baseline": rank_analysis(model)}, "spectra.png")
    """
    path = checks.path("path", path, required=True)
    checks.instance("analyses", analyses, Mapping, "analyses by name of the network")
    layers: dict[str, dict[str, LayerRank]] = {}
    for network, analysis in analyses.items():
        for layer in analysis.layers:
            layers.setdefault(layer.name, {})[network] = layer
    if not layers:
        raise ValueError(
            "`analyses` must hold a rank analysis of at least one layer. "
            f"Received: analyses={analyses!r}"
        )
    looks = figures.styles(analyses)
    figure, panels = figures.panels(len(layers), 2.7, 2.2)
    for axes, (name, networks) in zip(panels, layers.items(), strict=True):
        figures.style_axes(axes)
        for error in {analyses[network].error for network in networks}:
            axes.axhline(1 - error, color="#888888", linewidth=0.8, linestyle=":")
        for row, (network, layer) in enumerate(reversed(networks.items())):
            _draw(axes, row, layer, looks[network])
        axes.set_title(name, fontsize=9)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.04)
        axes.tick_params(labelsize=8)
    handles = [
        figures.handle(
            f"{network} (mean rank ratio {analyses[network].mean_ratio:.0%})", look
        )
        for network, look in looks.items()
    ]
    figures.legend(figure, handles, 3.4)
    figure.supxlabel("directions / filters", fontsize=10)
    figure.supylabel("part of the energy", fontsize=10)
    figures.save(figure, path)


def _draw(axes, row, layer, look):
    energy = cumulative_energy(layer)
    ratios = np.linspace(0, 1, len(energy))
    axes.plot(ratios, energy, look.line, color=look.color, linewidth=1.5)
    axes.plot(
        layer.ratio,
        np.interp(layer.ratio, ratios, energy),
        look.marker,
        color=look.color,
        markersize=5,
        clip_on=False,
    )
    axes.text(
        0.97,
        0.06 + 0.13 * row,
        f"{layer.rank}/{layer.full}",
        color=look.color,
        transform=axes.transAxes,
        horizontalalignment="right",
        fontsize=9,
    )
