"""Pictures of costs: panels of bars, of lines and of points, from a list of marks."""

import functools
import os
from collections.abc import Sequence
from typing import NamedTuple

from keras_roots import analysis


class Mark(NamedTuple):
    """Something to draw: a bar, or a point.

    Attributes:
        series: Name of its series, which looks the same in every panel.
        x: Where it is on the x axis; the length of a bar.
        y: Where it is on the y axis; the name of the group of a bar.
        text: What to write beside it.
    """

    series: str
    x: float
    y: float | str
    text: str = ""


class Panel(NamedTuple):
    """A panel of a picture.

    Attributes:
        title: Text above it.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        marks: What to draw.
        proportional: Point through which to draw where y is in proportion to x.
    """

    title: str
    xlabel: str
    ylabel: str
    marks: Sequence[Mark]
    proportional: tuple[float, float] | None = None


def plot_bars(
    panels: Sequence[Panel], path: str | os.PathLike, most_columns: int = 3
) -> None:
    """Draws horizontal bars in groups, with their texts."""
    lines = [
        len(panel.marks) + len({mark.y for mark in panel.marks}) for panel in panels
    ]
    size = (4.2, max(1.8, 0.2 * max(lines, default=0) + 0.5))
    _plot(panels, path, size, most_columns, _draw_bars, _patch)


def plot_lines(
    panels: Sequence[Panel],
    path: str | os.PathLike,
    most_columns: int = 3,
    doubling: bool = False,
) -> None:
    """Draws a line per series; `doubling` gives each factor of 2 in x the same room."""
    draw = functools.partial(_draw_lines, doubling=doubling)
    _plot(panels, path, (3.7, 2.9), most_columns, draw, analysis.handle)


def plot_points(
    panels: Sequence[Panel], path: str | os.PathLike, most_columns: int = 2
) -> None:
    """Draws points on logarithmic axes; those of one text are joined and named once."""

    def handle(name, look):
        return analysis.handle(name, look._replace(line="none"))

    _plot(panels, path, (5.2, 4.0), most_columns, _draw_points, handle)


def _plot(panels, path, size, most_columns, draw, handle):
    """Draws panels beside each other, and a legend.

    Args:
        panels: What to draw.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.
        size: Width and height of a panel, in inches.
        most_columns: Panels in a row, at most.
        draw: Function of the axes, a panel, and how each series looks.
        handle: Function of the name and the look of a series to its mark in the legend.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There is nothing to draw, or the format is not known.
        OSError: The file cannot be written.
    """
    names = dict.fromkeys(mark.series for panel in panels for mark in panel.marks)
    looks = analysis.styles(names)
    if not looks:
        raise ValueError("`panels` must hold something to draw. Received nothing")
    figure, every = analysis.panels(len(panels), *size, most_columns)
    for axes, panel in zip(every, panels, strict=True):
        analysis.style_axes(axes)
        axes.set_title(panel.title, fontsize=10)
        axes.set_xlabel(panel.xlabel, fontsize=9)
        axes.set_ylabel(panel.ylabel, fontsize=9)
        axes.tick_params(labelsize=8)
        draw(axes, panel, looks)
    if len(looks) > 1:
        widest = 0.5 + 0.08 * max(map(len, looks))  # inches
        handles = [handle(name, look) for name, look in looks.items()]
        analysis.legend(figure, handles, widest)
    analysis.save(figure, path)


def _by(marks, attribute) -> dict[str, list[Mark]]:
    found: dict[str, list[Mark]] = {}
    for mark in marks:
        found.setdefault(getattr(mark, attribute), []).append(mark)
    return found


def _draw_bars(axes, panel, looks):
    axes.grid(visible=False, axis="y")
    longest = max(mark.x for mark in panel.marks)
    ticks, y = {}, 0
    for group, marks in _by(panel.marks, "y").items():
        ticks[group] = y + (len(marks) - 1) / 2
        for mark in marks:
            axes.barh(y, mark.x, 0.85, color=looks[mark.series].color)
            beside = mark.x + 0.01 * longest
            axes.text(beside, y, mark.text, fontsize=8, verticalalignment="center")
            y += 1
        y += 1
    axes.set_yticks(list(ticks.values()), list(ticks))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - 1.3, -0.7)  # the first on top
    axes.set_xlim(0, 1.28 * longest)


def _draw_lines(axes, panel, looks, doubling):
    for name, marks in _by(panel.marks, "series").items():
        look = looks[name]
        axes.plot(
            *zip(*sorted((mark.x, mark.y) for mark in marks), strict=True),
            look.line,
            color=look.color,
            marker=look.marker,
            markersize=4.5,
            linewidth=1.5,
        )
    ticks = sorted({mark.x for mark in panel.marks})
    if doubling:
        axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.set_ylim(bottom=0)


def _draw_points(axes, panel, looks):
    from matplotlib import ticker

    _, xs, ys, _ = zip(*panel.marks, strict=True)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(0.6 * min(xs), 3 * max(xs)),
        ylim=(0.7 * min(ys), 1.5 * max(ys)),
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axis.set_minor_locator(ticker.NullLocator())
    for name, marks in _by(panel.marks, "series").items():
        axes.plot(
            [mark.x for mark in marks],
            [mark.y for mark in marks],
            looks[name].marker,
            color=looks[name].color,
            markeredgecolor="white",
            markersize=7,
        )
    grey = dict(color="#888888", linewidth=1, zorder=1)
    joined = _by(panel.marks, "text")
    for marks in joined.values():
        axes.plot([mark.x for mark in marks], [mark.y for mark in marks], **grey)
    _annotate(axes, {text: marks[-1][1:3] for text, marks in joined.items()})
    if panel.proportional:
        x, y = panel.proportional
        ends = axes.get_xlim()
        rates = [y / x * end for end in ends]
        axes.plot(ends, rates, ":", scalex=False, scaley=False, **grey)


def _annotate(axes, texts):
    """Writes names to the right of points, moved up where they would overlap."""
    size = 8
    scale = 72 / axes.figure.dpi  # pixels to typographic points
    places = []
    at = {text: scale * axes.transData.transform(xy) for text, xy in texts.items()}
    for text, (x, y) in sorted(at.items(), key=lambda item: item[1][1]):
        place = y
        for other_x, other_end, other_y in places:
            near = x < other_end and other_x < x + 0.6 * size * len(text)
            if near and place < other_y + 1.1 * size:
                place = other_y + 1.1 * size
        places.append((x, x + 0.6 * size * len(text), place))
        axes.annotate(
            text,
            texts[text],
            (8, place - y),
            textcoords="offset points",
            fontsize=size,
            verticalalignment="center",
            zorder=5,
        )


def _patch(name, look):
    from matplotlib.patches import Patch

    return Patch(color=look.color, label=name)
