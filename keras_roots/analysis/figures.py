"""What all pictures share: size, colours, grids of panels, and how they are written."""

import math
import os
from collections.abc import Collection, Sequence
from typing import NamedTuple

from keras_roots.utils import checks, replacing

# Okabe and Ito's colours, which the colour-blind tell apart, but for the yellow, which
# is too pale for lines. Markers and lines differ as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = "osD^vPX"
LINES = ("-", "--", "-.", ":")

_DPI = 160


class Style(NamedTuple):
    """How one thing looks in every panel of a picture."""

    color: str
    marker: str
    line: str


def styles(names: Collection) -> dict[object, Style]:
    """Returns a style for each name."""
    return {
        name: Style(
            COLORS[index % len(COLORS)],
            MARKERS[index % len(MARKERS)],
            LINES[index % len(LINES)],
        )
        for index, name in enumerate(names)
    }


def new_figure(width: float, height: float):
    """Returns an empty `matplotlib.figure.Figure`, which no window ever shows.

    Args:
        width: In inches.
        height: In inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Pictures need matplotlib: pip install 'keras_roots[plots]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def panels(count: int, width: float, height: float, most_columns: int = 4):
    """Returns a figure and a list of the axes of its panels, row by row.

    Args:
        count: Number of panels.
        width: Of one panel, in inches.
        height: Of one panel, in inches.
        most_columns: Panels in a row, at most.
    """
    rows = math.ceil(count / most_columns)
    columns = math.ceil(count / rows)
    figure = new_figure(max(columns * width, 4.0), rows * height + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def style_axes(axes) -> None:
    """Gives axes a light grid and no frame at the top and the right."""
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def handle(label: str, look: Style):
    """Returns a line with a marker, to show a style in a legend."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=look.color, marker=look.marker, linestyle=look.line, label=label
    )


def legend(figure, handles: Sequence, width: float) -> None:
    """Draws a legend above the panels.

    Args:
        figure: A `matplotlib.figure.Figure`.
        handles: Lines or patches with labels.
        width: Of one of them with its label, in inches.
    """
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=max(1, int(figure.get_figwidth() / width)),
        fontsize=9,
        frameon=False,
    )


def save(figure, path: str | os.PathLike) -> None:
    """Writes a picture, whole or not at all.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: File whose suffix says the format: .png, .pdf, .svg.

    Raises:
        ValueError: matplotlib does not know the format.
    """
    path = checks.path("path", path, required=True)
    known = figure.canvas.get_supported_filetypes()
    suffix = os.path.splitext(path)[1].removeprefix(".").lower()
    if suffix not in known:
        raise ValueError(
            f"`path` must end in one of {', '.join(f'.{name}' for name in known)}. "
            f"Received: path={os.fspath(path)!r}"
        )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, format=suffix)
