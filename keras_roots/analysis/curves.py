"""Training curves, and the trade-off between error and rank."""

import os
from collections.abc import Sequence

import numpy as np

from keras_roots.analysis import figures
from keras_roots.utils import checks, read_csv

# Metrics that are drawn in percent: column of the log, its share of 1, label.
_PERCENT = {
    "val_accuracy": ("val_accuracy", lambda value: value, "validation accuracy (%)"),
    "accuracy": ("accuracy", lambda value: value, "training accuracy (%)"),
    "error": ("val_accuracy", lambda value: 1 - value, "validation error (%)"),
    "training_error": ("accuracy", lambda value: 1 - value, "training error (%)"),
}


def plot_curves(
    runs: dict[str, Sequence[dict] | str | os.PathLike],
    path: str | os.PathLike,
    metric: str = "error",
) -> None:
    """Draws a metric of several training runs by epoch.

    For instance the fine-tuning of decomposed networks, from a coordinated and from a
    plain baseline: Figure 7 of Wen et al., Force Regularization (ICCV 2017).

    Args:
        runs: For each label, the rows of a run's log by column, or the path of its
            `log.csv`. Rows have an `epoch`.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.
        metric: `"error"` (1 - `val_accuracy`), `"training_error"` (1 - `accuracy`), or
            any column of the log, such as `"val_accuracy"` or `"loss"`. Rows without a
            value are left out.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no runs, a run lacks the metric, or the format is not
            known.
        OSError: A file cannot be read or written.

    Example:
        >>> plot_curves({"coordinated": "runs/a/log.csv"}, "curves.png")
    """
    path = checks.path("path", path, required=True)
    if not runs:
        raise ValueError(f"`runs` must hold at least one run. Received: runs={runs!r}")
    figure = figures.new_figure(6.4, 4.0)
    axes = figure.subplots()
    figures.style_axes(axes)
    unit = "%" if metric in _PERCENT else ""
    curves = {label: _curve(label, run, metric) for label, run in runs.items()}
    for label, look in figures.styles(curves).items():
        epochs, values = curves[label]
        axes.plot(
            epochs,
            values,
            look.line,
            color=look.color,
            linewidth=1.6,
            marker=look.marker,
            markevery=max(1, len(epochs) // 12),
            markersize=4,
            label=f"{label} (last: {values[-1]:.4g}{unit})",
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel(_PERCENT[metric][2] if metric in _PERCENT else metric)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=9, frameon=False)
    figures.save(figure, path)


def plot_tradeoff(rows: Sequence[dict], path: str | os.PathLike) -> None:
    """Draws error against rank over a sweep of strengths, one line per norm.

    Figure 6 of Wen et al., Force Regularization (ICCV 2017).

    Args:
        rows: One per network, with `norm` (`"l2"`, `"l1"`), `strength`, `error` and
            `mean_rank_ratio`, both between 0 and 1. A row of strength 0 is a
            network without force.
        path: Picture to write; its suffix says the format: .png, .pdf, .svg.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: There are no rows, one lacks a value, or the format is not known.
        OSError: The file cannot be written.
    """
    path = checks.path("path", path, required=True)
    points = [_point(row) for row in rows]
    if not points:
        raise ValueError(f"`rows` must hold at least one row. Received: rows={rows!r}")
    figure = figures.new_figure(6.4, 4.4)
    axes = figure.subplots()
    figures.style_axes(axes)
    norms = dict.fromkeys(norm for norm, strength, *_ in points if strength)
    for index, (norm, look) in enumerate(figures.styles(norms).items()):
        line = sorted(point for point in points if point[0] == norm and point[1])
        _, strengths, ratios, errors = zip(*line, strict=True)
        axes.plot(
            ratios,
            errors,
            look.line,
            color=look.color,
            marker=look.marker,
            linewidth=1.5,
            label=f"{norm}-norm force, with its strength",
        )
        for strength, *at in zip(strengths, ratios, errors, strict=True):
            _annotate(axes, f"{strength:g}", at, look.color, above=index % 2 == 0)
    label = "no force"
    for _, strength, ratio, error in points:
        if not strength:
            axes.plot(ratio, error, "*", color="black", markersize=13, label=label)
            axes.axhline(error, color="#888888", linewidth=0.8, linestyle=":")
            label = None  # once in the legend
    axes.set_xlabel("mean rank ratio (%)")
    axes.set_ylabel("error (%)")
    axes.margins(0.12, 0.14)
    axes.legend(fontsize=9, frameon=False)
    figures.save(figure, path)


def _annotate(axes, text, at, color, above):
    """Writes beside a point: above to the right of it, or below to the left."""
    from matplotlib.patheffects import withStroke

    axes.annotate(
        text,
        at,
        (5, 4) if above else (-5, -4),
        textcoords="offset points",
        color=color,
        fontsize=8,
        horizontalalignment="left" if above else "right",
        verticalalignment="bottom" if above else "top",
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        zorder=5,
    )


def _curve(label, run, metric) -> tuple[np.ndarray, np.ndarray]:
    """Returns epochs and values of a run."""
    if isinstance(run, str | os.PathLike):
        run = read_csv(run)
    column, share, _ = _PERCENT.get(metric, (metric, None, None))
    kept = [row for row in run if row.get(column) not in (None, "")]
    if not kept:
        columns = dict.fromkeys(name for row in run for name in row)
        raise ValueError(
            f"`metric` must be error, training_error or a column of the log of "
            f"{label!r}, {', '.join(columns) or 'which is empty'}. "
            f"Received: metric={metric!r}, for which it needs {column!r}"
        )
    epochs = np.array([float(row["epoch"]) for row in kept])
    values = np.array([float(row[column]) for row in kept])
    return epochs, values if share is None else 100 * share(values)


def _point(row) -> tuple[str, float, float, float]:
    """Returns norm, strength, rank ratio and error, both in percent."""
    try:
        return (
            row["norm"],
            float(row["strength"]),
            100 * float(row["mean_rank_ratio"]),
            100 * float(row["error"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "`rows` must have norm, strength, mean_rank_ratio and error. "
            f"Received: {row!r}, in which reading failed with: {error!r}"
        ) from error
