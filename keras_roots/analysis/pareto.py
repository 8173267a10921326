"""Error against cost, for each number and arrangement of filter groups."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_roots.analysis import figures
from keras_roots.models import TOPOLOGIES
from keras_roots.utils import checks

# Cost: unit that it is drawn in, label.
_COSTS = {
    "macs": (1e6, "multiply-adds (million)"),
    "params": (1e3, "parameters (thousand)"),
    "latency_ms": (1.0, "latency (ms)"),
}

_DENSE = figures.Style("black", "*", "none")

_TEXT_SIZE = 8.0

# Where a label may go: directions from its point in order of preference, and how far
# from the point its nearest edge is, in typographic points.
_DIRECTIONS = ((0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0))
_DISTANCES = (6.0, 10.0, 15.0)


class _Point(NamedTuple):
    """One network in one panel, its error and the bounds of that in percent."""

    series: str
    root: int
    cost: float
    error: float
    low: float
    high: float


def plot_pareto(
    rows: Sequence[Mapping],
    path: str | os.PathLike,
    columns: Sequence[str] | Mapping[str, str] = ("macs", "params"),
    reference: Sequence[Mapping] = (),
) -> None:
    """Draws test error against cost, one panel per cost, one line per topology.

    Ioannou et al., Deep Roots (CVPR 2017), Figure 5: the nearer to the lower left
    corner, the better. Points are labelled with their groups, the dense network is a
    star, and cost is on a logarithmic scale.

    Args:
        rows: One per network, with `topology` (`"root"`, `"column"` or `"tree"`),
            `root` (1 is the dense network, of any topology), `error` (0 to 1) and the
            columns; optionally `error_low` and `error_high`, the bounds of the error (0
            to 1), for error bars. Numbers may be texts, as a CSV file has them, and
            bounds may be empty.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.
        columns: Costs to draw. `"macs"` is drawn in millions, `"params"` in thousands,
            `"latency_ms"` and any other column as it is. A mapping from columns to
            labels of the axes puts them in other words.
        reference: A paper's networks, as `rows`, to draw as pale open markers. One
            without a cost is left out of that panel, as are latencies of another
            machine.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no rows or columns, a row lacks a value or has one that
            cannot be, or the format is not known.
        OSError: The file cannot be written.

    Example:
        >>> columns = "macs", "params", "latency_ms"
        >>> plot_pareto(rows, "pareto.png", columns, reference=paper_rows)
    """
    path = checks.path("path", path, required=True)
    if not rows or not columns:
        raise ValueError(
            "`rows` and `columns` must hold at least one entry each. "
            f"Received: rows={rows!r}, columns={columns!r}"
        )
    looks = {"dense": _DENSE, **figures.styles(TOPOLOGIES)}
    figure, panels = figures.panels(len(columns), 4.2, 3.5, most_columns=3)
    drawn = []
    for axes, column in zip(panels, columns, strict=True):
        unit, label = _COSTS.get(column, (1.0, column))
        known = [row for row in reference if row.get(column) not in (None, "")]
        points = [_point("rows", row, column, unit) for row in rows]
        others = [_point("reference", row, column, unit) for row in known]
        figures.style_axes(axes)
        _draw_bars(axes, points, looks)
        _draw(axes, others, looks, pale=True)
        _draw(axes, points, looks)
        _set_cost_axis(axes)
        axes.set_xlabel(
            columns[column] if isinstance(columns, Mapping) else label, fontsize=10
        )
        axes.tick_params(labelsize=8)
        drawn.append((axes, points, others))
    ends = np.array([axes.get_ylim() for axes in panels])
    for axes in panels:
        axes.set_ylim(ends.min(), ends.max())
    figure.supylabel("test error (%)", fontsize=10)
    _legend(figure, drawn, looks)
    figure.draw_without_rendering()  # puts everything where labels have to avoid it
    for axes, points, others in drawn:
        _annotate(axes, points, others, looks)
    figures.save(figure, path)


def _point(argument, row, column, unit) -> _Point:
    try:
        topology, root = row["topology"], int(row["root"])
        cost, error = float(row[column]) / unit, float(row["error"])
        low, high = (
            float(row[bound]) if row.get(bound) not in (None, "") else error
            for bound in ("error_low", "error_high")
        )
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise ValueError(
            f"`{argument}` must have topology, root, error and {column}. "
            f"Received: {row!r}, in which reading failed with: {problem!r}"
        ) from problem
    if topology not in TOPOLOGIES or root < 1 or not 0 < cost < math.inf:
        raise ValueError(
            f"`{argument}` must have one of the topologies {', '.join(TOPOLOGIES)}, a "
            f"root of at least 1, and {column} above 0. Received: {row!r}"
        )
    if not 0 <= low <= error <= high <= 1:
        raise ValueError(
            f"`{argument}` must have an error from 0 to 1 (not in percent), and bounds "
            f"on either side of it. Received: {row!r}"
        )
    series = "dense" if root == 1 else topology
    return _Point(series, root, cost, 100 * error, 100 * low, 100 * high)


def _lines(points, looks) -> dict[str, list[_Point]]:
    """Returns the points of each series in order of groups."""
    lines = {
        name: sorted((p for p in points if p.series == name), key=lambda p: p.root)
        for name in looks
    }
    return {name: line for name, line in lines.items() if line}


def _draw(axes, points, looks, pale=False):
    shade = (
        dict(alpha=0.45, linewidth=0.8, markerfacecolor="white", zorder=2)
        if pale
        else dict(linewidth=1.5, zorder=4)
    )
    for name, line in _lines(points, looks).items():
        look = looks[name]
        axes.plot(
            [p.cost for p in line],
            [p.error for p in line],
            color=look.color,
            linestyle=look.line,
            marker=look.marker,
            markersize=11 if look is _DENSE else 5.5,
            **shade,
        )


def _draw_bars(axes, points, looks):
    for p in points:
        if p.low < p.high:
            axes.vlines(
                p.cost, p.low, p.high, color=looks[p.series].color, alpha=0.4, zorder=3
            )


def _set_cost_axis(axes):
    from matplotlib import ticker

    axes.set_xscale("log")
    axes.margins(0.08, 0.1)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())


def _legend(figure, drawn, looks):
    from matplotlib.lines import Line2D

    present = {p.series for _, *both in drawn for points in both for p in points}
    handles = [
        Line2D(
            [],
            [],
            color=look.color,
            linestyle=look.line,
            marker=look.marker,
            markersize=10 if look is _DENSE else 6,
            label=name,
        )
        for name, look in looks.items()
        if name in present
    ]
    if any(others for _, _, others in drawn):
        handles.append(
            Line2D(
                [],
                [],
                color="#999999",
                marker="o",
                markerfacecolor="white",
                linewidth=0.8,
                label="paper",
            )
        )
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        fontsize=9,
        frameon=False,
    )


def _annotate(axes, points, others, looks):
    """Writes the groups beside points, each where least is in the way."""
    scale = 72 / axes.figure.dpi  # pixels to typographic points

    def place(cost, error):
        return scale * axes.transData.transform((cost, error))

    circles = _obstacles(points, others, looks, place)
    for p in points:
        if p.series == "dense":
            continue
        mark, text = place(p.cost, p.error), str(p.root)
        half = _TEXT_SIZE * np.array([0.31 * len(text), 0.4])
        steps = [
            np.array(direction) * (half + distance)
            for distance in _DISTANCES
            for direction in _DIRECTIONS
        ]
        costs = [
            _overlap(mark + step, half, circles) + 0.2 * np.hypot(*step)
            for step in steps
        ]
        step = steps[int(np.argmin(costs))]
        circles.append((*(mark + step), half.max() + 1))
        axes.annotate(
            text,
            (p.cost, p.error),
            step,
            textcoords="offset points",
            color=looks[p.series].color,
            fontsize=_TEXT_SIZE,
            horizontalalignment="center",
            verticalalignment="center",
            zorder=5,
        )


def _obstacles(points, others, looks, place) -> list[tuple[float, float, float]]:
    """Returns circles that cover all that is drawn, along lines one after the other."""
    circles = [(*place(p.cost, p.error), 4.0) for p in points]
    circles += [(*place(p.cost, p.error), 3.0) for p in others]
    strokes = [((p.cost, p.low), (p.cost, p.high)) for p in points]
    for line in _lines(points, looks).values():
        ends = [(p.cost, p.error) for p in line]
        strokes += zip(ends, ends[1:], strict=False)
    for start, end in strokes:
        start, end = place(*start), place(*end)
        count = 2 + int(math.dist(start, end) / 3)
        circles += [(x, y, 1.0) for x, y in np.linspace(start, end, count)]
    return circles


def _overlap(centre, half, circles) -> float:
    """Returns how far a label reaches into circles, in all."""
    x, y, radii = np.array(circles).T
    gaps = np.hypot(
        np.maximum(np.abs(x - centre[0]) - half[0], 0),
        np.maximum(np.abs(y - centre[1]) - half[1], 0),
    )
    return np.maximum(radii + 1 - gaps, 0).sum()
