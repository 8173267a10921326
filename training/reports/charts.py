"""What networks cost when they run: panels of bars, of lines and of points."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keras_roots import analysis


class Bars(NamedTuple):
    """A panel of horizontal bars, in groups.

    Attributes:
        title: What stands above it.
        xlabel: Label of the x axis.
        groups: By the name of the group, by that of the bar: its length, and what to
            write beside it.
    """

    title: str
    xlabel: str
    groups: Mapping[str, Mapping[str, tuple[float, str]]]


class Lines(NamedTuple):
    """A panel of lines.

    Attributes:
        title: What stands above it.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis, which starts at 0.
        lines: Points by the name of the line.
        doubling: Whether each x is twice the one before, at the same distance.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    doubling: bool = False


class Points(NamedTuple):
    """A panel of points on logarithmic axes.

    Attributes:
        title: What stands above it.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        points: By the name of the series, points by their names; points of the same
            name are joined and named once.
        proportional: Point through which to draw where y is in proportion to x.
    """

    title: str
    xlabel: str
    ylabel: str
    points: Mapping[str, Mapping[str, tuple[float, float]]]
    proportional: tuple[float, float] | None = None


def plot_bars(
    panels: Sequence[Bars], path: str | os.PathLike, most_columns: int = 3
) -> None:
    """Draws bars, one panel beside the other; bars of the same name look the same.

    Args:
        panels: What to draw.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.
        most_columns: Panels in a row, at most.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no bars, or the format is not known.
        OSError: The file cannot be written.
    """
    every_group = [bars for panel in panels for bars in panel.groups.values()]
    looks = _looks(name for bars in every_group for name in bars)
    most = max(sum(len(bars) + 1 for bars in panel.groups.values()) for panel in panels)
    figure, every = analysis.panels(
        len(panels), 4.2, max(1.8, 0.2 * most + 0.5), most_columns
    )
    for axes, panel in zip(every, panels, strict=True):
        _style(axes, panel)
        axes.grid(visible=False, axis="y")
        _draw_bars(axes, panel.groups, looks)
    _legend(figure, looks, _patch)
    analysis.save(figure, path)


def plot_lines(
    panels: Sequence[Lines], path: str | os.PathLike, most_columns: int = 3
) -> None:
    """Draws lines, one panel beside the other; lines of the same name look the same.

    Args:
        panels: What to draw.
        path: As for `plot_bars`.
        most_columns: As for `plot_bars`.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no lines, or the format is not known.
        OSError: The file cannot be written.
    """
    looks = _looks(name for panel in panels for name in panel.lines)
    figure, every = analysis.panels(len(panels), 3.7, 2.9, most_columns)
    for axes, panel in zip(every, panels, strict=True):
        _style(axes, panel)
        for name, points in panel.lines.items():
            look = looks[name]
            xs, ys = zip(*sorted(points), strict=True)
            axes.plot(
                xs,
                ys,
                look.line,
                color=look.color,
                marker=look.marker,
                markersize=4.5,
                linewidth=1.5,
            )
        ticks = sorted({x for points in panel.lines.values() for x, _ in points})
        if panel.doubling:
            axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(panel.ylabel, fontsize=9)
    _legend(figure, looks, _line)
    analysis.save(figure, path)


def plot_points(
    panels: Sequence[Points], path: str | os.PathLike, most_columns: int = 2
) -> None:
    """Draws points with their names, one panel beside the other.

    Args:
        panels: What to draw; series of the same name look the same.
        path: As for `plot_bars`.
        most_columns: As for `plot_bars`.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no points, or the format is not known.
        OSError: The file cannot be written.
    """
    looks = _looks(name for panel in panels for name in panel.points)
    figure, every = analysis.panels(len(panels), 5.2, 4.0, most_columns)
    for axes, panel in zip(every, panels, strict=True):
        _style(axes, panel)
        _draw_points(axes, panel, looks)
        axes.set_ylabel(panel.ylabel, fontsize=9)
    _legend(figure, looks, _mark)
    analysis.save(figure, path)


def _looks(names) -> dict[str, analysis.Style]:
    looks = analysis.styles(dict.fromkeys(names))
    if not looks:
        raise ValueError("`panels` must hold something to draw. Received nothing")
    return looks


def _style(axes, panel):
    analysis.style_axes(axes)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(panel.xlabel, fontsize=9)
    axes.tick_params(labelsize=8)


def _draw_bars(axes, groups, looks):
    ticks, y = {}, 0
    longest = max(length for bars in groups.values() for length, _ in bars.values())
    for group, bars in groups.items():
        ticks[group] = y + (len(bars) - 1) / 2
        for name, (length, text) in bars.items():
            axes.barh(y, length, 0.85, color=looks[name].color)
            axes.text(
                length + 0.01 * longest,
                y,
                text,
                fontsize=8,
                verticalalignment="center",
            )
            y += 1
        y += 1
    axes.set_yticks(list(ticks.values()), list(ticks))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y - 1.3, -0.7)  # the first on top
    axes.set_xlim(0, 1.28 * longest)


def _draw_points(axes, panel, looks):
    every = [point for series in panel.points.values() for point in series.values()]
    xs, ys = zip(*every, strict=True)
    _set_logarithmic(axes, (0.6 * min(xs), 3 * max(xs)), (0.7 * min(ys), 1.5 * max(ys)))
    joined: dict[str, list] = {}
    for name, series in panel.points.items():
        look = looks[name]
        for text, point in series.items():
            joined.setdefault(text, []).append(point)
        axes.plot(
            *zip(*series.values(), strict=True),
            look.marker,
            color=look.color,
            markeredgecolor="white",
            markersize=7,
        )
    for points in joined.values():
        axes.plot(*zip(*points, strict=True), color="#888888", linewidth=1, zorder=1)
    _annotate(axes, {text: points[-1] for text, points in joined.items()})
    if panel.proportional:
        x, y = panel.proportional
        ends = axes.get_xlim()
        axes.plot(
            ends,
            [y / x * end for end in ends],
            ":",
            color="#888888",
            linewidth=1,
            scalex=False,
            scaley=False,
            zorder=1,
        )


def _set_logarithmic(axes, xlim, ylim):
    from matplotlib import ticker

    axes.set(xscale="log", yscale="log", xlim=xlim, ylim=ylim)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axis.set_minor_locator(ticker.NullLocator())


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


def _legend(figure, looks, handle):
    if len(looks) < 2:
        return
    widest = 0.5 + 0.08 * max(map(len, looks))  # inches
    figure.legend(
        handles=[handle(name, look) for name, look in looks.items()],
        loc="outside upper center",
        ncols=max(1, int(figure.get_figwidth() / widest)),
        fontsize=9,
        frameon=False,
    )


def _patch(name, look):
    from matplotlib.patches import Patch

    return Patch(color=look.color, label=name)


def _line(name, look, line=None):
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        color=look.color,
        marker=look.marker,
        linestyle=line or look.line,
        label=name,
    )


def _mark(name, look):
    return _line(name, look, "none")
