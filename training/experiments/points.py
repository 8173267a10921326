"""Error against latency of LiteRT files: which are on the frontier, and a picture."""

from collections.abc import Mapping
from pathlib import Path

from keras_roots import analysis
from keras_roots.training.evaluation import LITERT_FORMATS

_MARK = 0.25  # of the dense network's latency: where its error is the mark to beat

# What is drawn of a line.
COLUMNS = tuple(f"{form}_{name}" for form in LITERT_FORMATS for name in ("ms", "error"))

# A point's name: network, or what was done to it, and the format of its file.
Points = Mapping[tuple[str, str], tuple[float, float]]


def points(lines: Mapping[str, Mapping]) -> Points:
    """Returns milliseconds and error of each file.

    Args:
        lines: Columns by name, as from `evaluation.measure_files`.

    Returns:
        Pairs by name and format.
    """
    return {
        (name, form): (line[f"{form}_ms"], line[f"{form}_error"])
        for name, line in lines.items()
        for form in LITERT_FORMATS
    }


def frontier(found: Points) -> list[tuple[str, str]]:
    """Returns the names of the points to which no other is better, the fastest first.

    Args:
        found: Milliseconds and errors by name; another point is better that has less
            of one and not more of the other. Of equal points the first counts.
    """
    best, least = [], float("inf")
    for key, (_, error) in sorted(found.items(), key=lambda item: item[1]):
        if error < least:
            best.append(key)
            least = error
    return best


def draw(panels: Mapping[str, Points], path: Path) -> None:
    """Draws error against latency, with the frontier joined and labelled.

    Args:
        panels: Points of each panel by its title, the dense network in float32 first;
            dotted lines show its error and a quarter of its latency.
        path: Picture to write.

    Raises:
        ImportError: matplotlib is not installed.
    """
    looks = analysis.styles(LITERT_FORMATS)
    figure, every = analysis.panels(len(panels), 5.2, 4.2)
    for axes, (title, found) in zip(every, panels.items(), strict=True):
        analysis.style_axes(axes)
        _draw_mark(axes, next(iter(found.values())))
        _draw_points(axes, found, looks)
        _draw_frontier(axes, found, looks)
        _finish(axes, title)
    analysis.save(figure, path)


def _draw_mark(axes, dense):
    ms, error = dense
    for line, value in ((axes.axvline, _MARK * ms), (axes.axhline, 100 * error)):
        line(value, color="#888888", linestyle=":", linewidth=1, zorder=1)


def _draw_points(axes, found, looks):
    for form, look in looks.items():
        pairs = [pair for (_, own), pair in found.items() if own == form]
        axes.plot(
            [ms for ms, _ in pairs],
            [100 * error for _, error in pairs],
            look.marker,
            color=look.color,
            markersize=5.5,
            label=form.removeprefix("litert_"),
            zorder=3,
        )


def _draw_frontier(axes, found, looks):
    best = frontier(found)
    ends = [found[key] for key in best]
    axes.plot(
        [ms for ms, _ in ends],
        [100 * error for _, error in ends],
        color="#555555",
        linewidth=1,
        zorder=2,
    )
    for key in best:
        name, form = key
        ms, error = found[key]
        axes.annotate(
            name,
            (ms, 100 * error),
            (-5, -5),
            textcoords="offset points",
            # No file is both faster and better: there is room below, to the left.
            horizontalalignment="right",
            verticalalignment="top",
            color=looks[form].color,
            fontsize=7,
        )


def _finish(axes, title):
    from matplotlib import ticker

    axes.set_title(title)
    axes.set_xscale("log")
    axes.margins(0.25, 0.12)
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.tick_params(labelsize=8)
    axes.set_xlabel("LiteRT latency on one thread (ms)")
    axes.set_ylabel("error on the test images (%)")
    axes.legend(fontsize=8, frameon=False)
