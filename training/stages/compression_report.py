"""What each stage of a compression is worth: ranks, files, accuracy, latency."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import keras

import keras_roots
from keras_roots import benchmarking, utils
from keras_roots.convolutions import find_convolutions
from keras_roots.export import ExportError
from keras_roots.lowrank import RankAnalysis
from keras_roots.training import evaluation
from keras_roots.training.stages.compression import Compression
from keras_roots.utils import format_table

QUANTIZATIONS = {"float32": None, "int8": "int8"}
_RANKED = ("baseline", "force")
_COLUMNS = {
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


def ranks(compression: Compression) -> dict[str, RankAnalysis]:
    """Analyses the networks before decomposition; writes `ranks.csv` and a picture.

    Args:
        compression: Where stages that are done lie; its settings say the error.

    Returns:
        Analyses of the spatial convolutions, by stage. The picture, `spectra.png`, is
        left out where matplotlib is not installed.

    Raises:
        ValueError: Neither stage is done.
    """
    stages = [stage for stage in compression.done() if stage in _RANKED]
    if not stages:
        raise ValueError(
            f"Ranks need the model of a stage of {_RANKED}, and "
            f"{str(compression.directory)!r} has none: run one first"
        )
    error = compression.settings.decomposition.error
    found = {stage: analyse(compression.model(stage), error) for stage in stages}
    rows = [
        {
            "stage": stage,
            "layer": layer.name,
            "groups": layer.groups,
            "rank": layer.rank,
            "filters": layer.full,
            "ratio": round(layer.ratio, 4),
        }
        for stage, analysis in found.items()
        for layer in analysis.layers
    ]
    utils.write_csv(compression.directory / "ranks.csv", rows)
    if importlib.util.find_spec("matplotlib"):
        from keras_roots.analysis import plot_spectra

        plot_spectra(found, compression.directory / "spectra.png")
    return found


def analyse(model: keras.Model, error: float = 0.05) -> RankAnalysis:
    """Returns the ranks of a network's spatial convolutions, as the paper gives them.

    1x1 convolutions are left out, unless there is no other.
    """
    every = find_convolutions(model).values()
    spatial = any(layer.kernel_size != (1, 1) for layer in every)
    return keras_roots.rank_analysis(
        model, error, lambda layer: layer.kernel_size != (1, 1) if spatial else True
    )


def export(compression: Compression, runs: int = 50) -> list[dict]:
    """Exports the network of every stage, measures the files, and writes `table.csv`.

    Args:
        compression: Where stages that are done lie.
        runs: Timed calls of each file, at least.

    Returns:
        A row per stage: top-1 of the Keras model and of the int8 file on the test
        split, mean rank ratio, multiply-adds, parameters, bytes and milliseconds of
        both files, and the ratios of the times to those of the first row. A network
        whose file does not agree with it, such as an untrained one, has no figures of
        the file.

    Raises:
        ValueError: No stage is done.
        ImportError: LiteRT or TensorFlow is not installed.
    """
    stages = compression.done()
    if not stages:
        raise ValueError(
            f"There is nothing to export: {str(compression.directory)!r} has no model "
            "of any stage"
        )
    folder = compression.directory / "export"
    folder.mkdir(exist_ok=True)
    rows = [_export(compression, stage, folder) for stage in stages]
    for kind in QUANTIZATIONS:
        exported = [row for row in rows if row[f"{kind}_bytes"] is not None]
        if not exported:
            continue
        measured = benchmarking.compare(
            {row["stage"]: str(_path(folder, row["stage"], kind)) for row in exported},
            runs=runs,
        )
        for row, latency in zip(exported, measured, strict=True):
            row[f"{kind}_ms"] = round(latency.median_ms, 4)
            row[f"{kind}_ratio"] = round(latency.ratio, 4)
    machine = {
        "processor": benchmarking.processor(),
        "versions": benchmarking.versions(),
    }
    rows = [row | machine for row in rows]
    utils.write_csv(compression.directory / "table.csv", rows)
    return rows


def render(rows: Sequence[dict]) -> str:
    """Returns the rows of `export` as a table for the terminal."""
    header = ("stage", "top-1", "int8", "rank ratio", "MACs", "parameters")
    header += ("bytes", "int8", "ms", "", "int8 ms", "")
    cells = [
        (
            row["stage"],
            *(
                "" if row.get(name) is None else template.format(row[name])
                for name, template in _COLUMNS.items()
            ),
        )
        for row in rows
    ]
    table = format_table(header, cells, left=1)
    return f"{table}\n{rows[0]['processor']}; {rows[0]['versions']}"


def _export(compression, stage, folder) -> dict:
    model = compression.model(stage)
    images = compression.sample(model, evaluation.CALIBRATION_IMAGES)
    result = compression.result(stage)
    row = {"stage": stage, "top1": result["top1"]}
    if "validation_top1" in result:
        row["validation_top1"] = result["validation_top1"]
    ratio = analyse(model).mean_ratio if stage in _RANKED else None
    row |= {"mean_rank_ratio": ratio and round(ratio, 4)}
    row |= {name: result[name] for name in ("macs", "params")}
    for kind, quantize in QUANTIZATIONS.items():
        path = _path(folder, stage, kind)
        row |= {f"{kind}_top1": None, f"{kind}_bytes": None}
        try:
            keras_roots.export_tflite(model, path, quantize, images)
        except ExportError as error:
            compression.say(f"{stage}: no {kind} file: {error}")
            continue
        score = evaluation.evaluate_on(
            evaluation.load_predictor(str(path)), compression.dataset
        )
        row[f"{kind}_top1"] = score.top1
        row[f"{kind}_bytes"] = utils.file_size(path)
    return row


def _path(folder, stage, kind) -> Path:
    return folder / f"{stage}-{kind}.tflite"
