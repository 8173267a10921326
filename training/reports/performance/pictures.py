"""The pictures of each suite of performance results."""

import os
from collections.abc import Sequence
from pathlib import Path

from keras_roots.export import LATENCY, REWRITES
from keras_roots.training.reports.performance import charts
from keras_roots.training.reports.performance.charts import Mark, Panel
from keras_roots.training.reports.performance.columns import way

_NAMES = {
    "root_alexnet": "AlexNet",
    "root_convnet": "ConvNet",
    "root_googlenet": "GoogLeNet",
    "root_nin": "NiN",
    "root_resnet20": "ResNet-20",
    "root_resnet200": "ResNet-200",
    "root_resnet50": "ResNet-50",
}
_RUNTIMES = {"litert": "LiteRT", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def draw(name: str, rows: Sequence[dict], output_dir: str | os.PathLike) -> list[Path]:
    """Draws the results of a suite.

    Args:
        name: Name of the suite; the pictures' names start with it.
        rows: Its rows.
        output_dir: Existing folder to write to.

    Returns:
        The pictures.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: They cannot be written.
    """
    pictures = []

    def picture(kind=""):
        pictures.append(Path(output_dir, f"{name}{kind}.png"))
        return pictures[-1]

    _DRAW[name](rows, picture)
    return pictures


def _ratios(rows, picture):
    def title(chosen):
        macs = {row["root"]: row["macs"] for row in chosen}
        ratio = macs[max(macs)] / macs[min(macs)]
        return f"{_family(chosen)}, root {max(macs)}: MACs {ratio:.3f} of dense"

    def bar(row, column):
        text = f"{row[column]:.3g} ms"
        if row["root"] > 1 and row["dense_ratio"] is not None:
            text += f", {row['dense_ratio']:.2f} of dense"
        return Mark(_kind(row), row[column], _converted(row), text)

    columns = {"median_ms": "ms, one thread"}
    panels = _panels(rows, ["family"], columns, title, bar, ylabel="")
    charts.plot_bars(panels, picture())


def _rewrites(rows, picture):
    order = [None, *REWRITES, LATENCY]

    def bar(row, column):
        text = f"{row['median_ms']:.3g} ms, {row[column]:.2f}"
        return Mark(_dtype(row), row[column], row["optimize"] or "none", text)

    rows = sorted(rows, key=lambda row: order.index(row["optimize"]))
    columns = {"ratio": "time over that of no rewrites"}
    panels = _panels(
        rows, ["model"], columns, lambda chosen: _network(chosen[0]), bar, ylabel=""
    )
    charts.plot_bars(panels, picture(), 2)


def _groups(rows, picture):
    panels = _panels(
        rows,
        ["family"],
        {"median_ms": "ms, one thread"},
        _family,
        lambda row, column: Mark(_converted(row), row["root"], row[column]),
        xlabel="root (filter groups of the first stage)",
    )
    charts.plot_lines(panels, picture(), doubling=True)


def _yardstick(rows, picture):
    litert = [row for row in rows if row["runtime"] == "litert"]
    for chosen in _by(litert, "quantize"):
        panels = [
            panel for run in _by(chosen, "threads") for panel in _time_over_counts(run)
        ]
        charts.plot_points(panels, picture(f"-{_dtype(chosen[0])}"))

    def bar(row, column):
        name = _RUNTIMES[row["runtime"]] + (", optimised" if row["optimize"] else "")
        return Mark(name, row[column], _network(row), f"{row[column]:.3g}")

    network = ("model", "quantize")
    others = [row for row in rows if row["runtime"] != "litert"]
    compared = {tuple(row[name] for name in network) for row in others}
    both = [row for row in rows if tuple(row[name] for name in network) in compared]
    times = _panels(
        both,
        ["quantize", "threads"],
        {"median_ms": "ms"},
        lambda chosen: f"{_dtype(chosen[0])}, {_threads(chosen[0])}",
        bar,
        ylabel="",
    )
    memory = _panels(
        [row for row in rows if row["threads"] == 1],
        ["quantize"],
        {
            "memory_mb": "memory (MB), one thread",
            "load_ms": "time to load and run once (ms), one thread",
        },
        lambda chosen: _dtype(chosen[0]),
        bar,
        ylabel="",
    )
    for kind, panels in (("runtimes", times), ("memory", memory)):
        if panels:
            charts.plot_bars(panels, picture(f"-{kind}"), 2)


def _time_over_counts(rows) -> list[Panel]:
    """Returns panels of the latency over each count, plain and optimised."""
    columns = {"macs": "MACs (millions)", "params": "parameters (millions)"}

    def point(row, column):
        return Mark(
            _converted(row), 1e-6 * row[column], row["median_ms"], _network(row)
        )

    macs, params = _panels(
        rows, [], columns, lambda chosen: _threads(chosen[0]), point, ylabel="ms"
    )
    dense = next((point(row, "macs") for row in rows if row["root"] == 1), None)
    return [macs._replace(proportional=dense and (dense.x, dense.y)), params]


def _sizes(rows, picture):
    columns = {
        "median_ms": "ms",
        "ms_as_224": "ms, scaled to 224x224 pixels",
        "memory_mb": "memory (MB)",
    }

    def point(row, column):
        return Mark(f"{_kind(row)}, {_dtype(row)}", row["side"], row[column])

    xlabel = "height and width (pixels)"
    panels = _panels(rows, ["family"], columns, _family, point, xlabel)
    charts.plot_lines(panels, picture(), 2)


def _batches(rows, picture):
    columns = {"ms_per_image": "ms per image", "memory_mb": "memory (MB)"}

    def title(chosen):
        return f"{_family(chosen)}, {_dtype(chosen[0])}"

    def point(row, column):
        return Mark(f"{_kind(row)}, {_threads(row)}", row["batch_size"], row[column])

    apart = ["family", "quantize"]
    panels = _panels(rows, apart, columns, title, point, "batch (images)")
    charts.plot_lines(panels, picture(), 2, doubling=True)


_DRAW = {
    "ratios": _ratios,
    "rewrites": _rewrites,
    "groups": _groups,
    "yardstick": _yardstick,
    "sizes": _sizes,
    "batches": _batches,
}


def _panels(rows, apart, columns, title, mark, xlabel=None, ylabel=None):
    """Returns a panel for each column, and for each part of the rows that have it.

    Args:
        rows: Rows of a suite.
        apart: Columns: rows that differ in one of them have panels of their own.
        columns: Measured columns, with their labels.
        title: Function of the rows of a panel.
        mark: Function of a row and a measured column.
        xlabel: Label of the x axis, by default that of the column.
        ylabel: The same of the y axis.
    """
    return [
        Panel(
            title(chosen),
            label if xlabel is None else xlabel,
            label if ylabel is None else ylabel,
            [mark(row, column) for row in chosen],
        )
        for column, label in columns.items()
        for chosen in _by([row for row in rows if row[column] is not None], *apart)
    ]


def _by(rows, *columns) -> list[list[dict]]:
    """Returns the rows that are the same in some columns, each time a list."""
    found: dict = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in columns), []).append(row)
    return list(found.values())


def _family(rows) -> str:
    return _NAMES[rows[0]["family"]]


def _network(row) -> str:
    if row["family"] not in _NAMES:
        return row["family"].removeprefix("keras.applications.") + " (Keras)"
    groups = "dense" if row["root"] == 1 else f"root {row['root']}"
    return f"{_NAMES[row['family']]} {groups}"


def _kind(row) -> str:
    return "dense" if row["root"] == 1 else "filter groups"


def _dtype(row) -> str:
    return row["quantize"] or "float32"


def _threads(row) -> str:
    return f"threads: {row['threads']}"


def _converted(row) -> str:
    return way({**row, "optimize": row["optimize"] and "optimised"})
