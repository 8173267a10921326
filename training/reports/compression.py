"""What each stage of a compression is worth: ranks, files, accuracy, latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

import keras_roots
from keras_roots import utils
from keras_roots.convolutions import find_convolutions
from keras_roots.export import ExportError
from keras_roots.lowrank import RankAnalysis
from keras_roots.training import evaluation, runs
from keras_roots.training.reports.page import write_page
from keras_roots.training.stages import Context, Outcome
from keras_roots.utils import format_rows

RANKED = ("baseline", "force")
TABLE = "table.csv"
QUANTIZATIONS = {"float32": None, "int8": "int8"}
_COLUMNS = {
    "stage": "{}",
    "top1": "{:.2%}",
    "int8_top1": "{:.2%}",
    "mean_rank_ratio": "{:.2%}",
    "macs": "{:,}",
    "params": "{:,}",
    "float32_bytes": "{:,}",
    "int8_bytes": "{:,}",
    "float32_ms": "{:.3f}",
    "float32_ratio": "{:.3f}",
    "int8_ms": "{:.3f}",
    "int8_ratio": "{:.3f}",
}


def analyse(model: keras.Model, error: float = 0.05) -> RankAnalysis:
    """Returns the ranks of a network's spatial convolutions, as the paper gives them.

    1x1 convolutions are left out, unless there is no other.

    Args:
        model: The network.
        error: Bound on the relative squared error of each layer.
    """
    every = find_convolutions(model).values()
    spatial = any(layer.kernel_size != (1, 1) for layer in every)
    return keras_roots.rank_analysis(model, error, "spatial" if spatial else None)


def ranks(outcome: Outcome, error: float = 0.05) -> dict[str, RankAnalysis]:
    """Analyses the networks before decomposition; writes `ranks.csv` and a picture.

    Args:
        outcome: What the stages have left.
        error: As for `analyse`.

    Returns:
        Analyses of the spatial convolutions, by stage. The picture, `spectra.png`, is
        left out where matplotlib is not installed.

    Raises:
        ValueError: Neither stage is done.
    """
    done = [stage for stage in outcome.done if stage in RANKED]
    if not done:
        raise ValueError(
            f"Ranks need the model of a stage of {RANKED}, and "
            f"{str(outcome.folder)!r} has none: run one first"
        )
    found = {stage: analyse(outcome.model(stage), error) for stage in done}
    rows = [
        {
            "stage": stage,
            "layer": layer.name,
            "groups": layer.groups,
            "rank": layer.rank,
            "filters": layer.full,
            "ratio": round(layer.ratio, 4),
            "mean_direction": round(layer.mean_direction, 4),
        }
        for stage, analysis in found.items()
        for layer in analysis.layers
    ]
    utils.write_csv(outcome.folder / "ranks.csv", rows)
    if utils.is_installed("matplotlib"):
        from keras_roots.analysis import plot_spectra

        plot_spectra(found, outcome.folder / "spectra.png")
    return found


def export_stages(outcome: Outcome, context: Context, timed: int = 50) -> list[dict]:
    """Exports the network of every stage, and measures the files.

    Writes `table.csv` and `report.html`.

    Args:
        outcome: What the stages have left.
        context: Where they ran.
        timed: Timed calls of each file, at least.

    Returns:
        A row per stage: top-1 of the Keras model and of both files on the test split,
        mean rank ratio, multiply-adds, parameters, bytes and milliseconds of both
        files, and the ratios of the times to those of the first row. A network whose
        file does not agree with it, such as an untrained one, has no figures of the
        file.

    Raises:
        ValueError: No stage is done.
        ImportError: LiteRT or TensorFlow is not installed.
    """
    if not outcome.done:
        raise ValueError(
            f"There is nothing to export: {str(outcome.folder)!r} has no model of any "
            "stage"
        )
    folder = outcome.folder / "export"
    folder.mkdir(exist_ok=True)
    rows, paths = [], {}
    for stage in outcome.done:
        model, result = outcome.model(stage), outcome.result(stage)
        names = ("top1", "validation_top1", "macs", "params")
        row = {"stage": stage} | {n: result[n] for n in names if n in result}
        ratio = analyse(model).mean_ratio if stage in RANKED else None
        rows.append(row | {"mean_rank_ratio": ratio and round(ratio, 4)})
        paths[stage] = _export(model, stage, folder, context)
    found = evaluation.measure(
        paths, context.dataset, runs=timed, against="format", say=context.say
    )
    for row in rows:
        for kind in QUANTIZATIONS:
            measured = found[row["stage"]].get(kind)
            for name in ("top1", "bytes", "ms", "ratio"):
                value = measured and measured.columns(name)[name]
                row[f"{kind}_{name}"] = value
    machine = {name: runs.describe()[name] for name in ("hardware", "versions")}
    rows = [row | machine for row in rows]
    utils.write_csv(outcome.folder / TABLE, rows)
    write_page(outcome, context, rows, _COLUMNS)
    return rows


def render_stages(rows: Sequence[Mapping]) -> str:
    """Returns the rows of `export_stages` as a table for the terminal."""
    table = format_rows(rows, _COLUMNS, left=1)
    return f"{table}\n{rows[0]['hardware']}; {rows[0]['versions']}"


def _export(model, stage, folder, context) -> dict[str, Path]:
    images = context.sample(model, evaluation.CALIBRATION_IMAGES)
    paths = {}
    for kind, quantize in QUANTIZATIONS.items():
        path = folder / f"{stage}-{kind}.tflite"
        try:
            keras_roots.export_tflite(model, path, quantize, images)
        except ExportError as error:
            context.say(f"{stage}: no {kind} file: {error}")
            continue
        paths[kind] = path
    return paths
