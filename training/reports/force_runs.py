"""Compressions with forces between filters, as tables and pictures of their paper."""

import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_roots import analysis
from keras_roots.convolutions import find_convolutions
from keras_roots.training.reports.compression import analyse
from keras_roots.training.reports.coordinating_filters import paper_rows, rank_columns
from keras_roots.training.runs import CONFIG, MODEL, RESULT
from keras_roots.training.trainer import read_log
from keras_roots.utils import format_rows, is_leftover, load_model, read_json

STAGES = ("baseline", "force", "decompose", "finetune")
CLUSTERS = 4  # of the filters in the plane
_SHOWN = {
    "run": "{}",
    "network": "{}",
    "norm": "{}",
    "strength": "{:g}",
    "error": "{:.2%}",
    "mean_rank_ratio": "{:.2%}",
    "decomposed_error": "{:.2%}",
    "finetuned_error": "{:.2%}",
    "macs_after": "{:,}",
    "ranks": "{}",
}


def find_runs(folder: str | os.PathLike) -> list[Path]:
    """Returns the output directories of compressions in a folder, however deep.

    Raises:
        ValueError: There is none.
    """
    results = sorted(Path(folder).rglob(f"baseline/{RESULT}"))
    found = [p.parent.parent for p in results if not is_leftover(p)]
    if not found:
        raise ValueError(
            "`runs` must be a folder with output directories of keras-roots-compress. "
            f"Received: runs={os.fspath(folder)!r}"
        )
    return found


def collect(folder: str | os.PathLike) -> list[dict]:
    """Returns a row per network: baselines first, then those trained with forces.

    Args:
        folder: Folder with output directories of `keras-roots-compress`.

    Returns:
        Rows with the columns of `force.csv`: errors are parts of 1, ranks those of the
        spatial convolutions.

    Raises:
        ValueError: There is none.
    """
    baselines: dict[tuple, dict] = {}
    rows = []
    for run in find_runs(folder):
        row = {"run": str(run.relative_to(folder)), **_row(run)}
        if not row["from_scratch"]:
            baseline = _network(run, "baseline")
            key = row["network"], row["baseline_error"], baseline["ranks"]
            baselines.setdefault(
                key,
                {"run": "baseline", "network": row["network"], "norm": "none"}
                | {"strength": 0.0, "scale": "", "from_scratch": False}
                | baseline,
            )
        rows.append(row)
    return [*baselines.values(), *rows]


def render(rows: Sequence[dict]) -> str:
    """Returns Table 1: the paper's rows, then those of `collect`."""
    shown = [
        row | {"ranks": _numerators(row.get("ranks") or "")}
        for row in [*paper_rows(), *rows]
    ]
    return format_rows(shown, _SHOWN, left=3)


def draw(
    folder: str | os.PathLike, rows: Sequence[dict], output_dir: str | os.PathLike
) -> list[Path]:
    """Draws the pictures that the runs have data for, and returns their files.

    Args:
        folder: As for `collect`.
        rows: Rows of `collect`.
        output_dir: Existing folder to write to.

    Raises:
        ImportError: matplotlib is not installed.
    """
    runs = {str(run.relative_to(folder)): run for run in find_runs(folder)}
    networks = {row["run"]: row["network"] for row in rows}
    pictures = []
    for network in dict.fromkeys(networks.values()):

        def picture(name, network=network):
            pictures.append(Path(output_dir, f"{name}-{network}.png"))
            return pictures[-1]

        own = {name: run for name, run in runs.items() if networks.get(name) == network}
        swept = _sweep([row for row in rows if row["network"] == network])
        if swept:
            analysis.plot_tradeoff(swept, picture("tradeoff"))
        decomposed = {
            name: run
            for name, run in own.items()
            if {"force", "decompose"} <= set(_done(run))
        }
        if not decomposed:
            continue
        models = {"baseline": _load(next(iter(decomposed.values())), "baseline")}
        models |= {name: _load(run, "force") for name, run in decomposed.items()}
        spectra = {name: analyse(model) for name, model in models.items()}
        analysis.plot_spectra(spectra, picture("spectra"))
        kernels = {name: _first_kernel(model) for name, model in models.items()}
        if all(kernel.shape[-1] > CLUSTERS for kernel in kernels.values()):
            analysis.plot_filters(kernels, picture("filters"), CLUSTERS)
        curves = {
            name: _finetuning_log(run)
            for name, run in own.items()
            if "finetune" in _done(run)
        }
        if curves:
            analysis.plot_curves(curves, picture("curves"))
    return pictures


def _sweep(rows) -> list[dict]:
    """Returns the rows of a network for one line: runs of one length, if enough."""
    swept = [
        row
        for row in rows
        if row["scale"] in ("", "norm")
        and not row["from_scratch"]
        and row["mean_rank_ratio"] is not None
    ]
    lengths = [row["force_epochs"] for row in swept if row["strength"] > 0]
    if len(lengths) < 3:
        return []
    usual = statistics.mode(lengths)
    swept = [
        row for row in swept if not row["strength"] or row["force_epochs"] == usual
    ]
    validated = all(row["validation_error"] is not None for row in swept)
    error = "validation_error" if validated else "error"
    return [row | {"error": row[error]} for row in swept]


def _settings(run) -> dict[str, dict]:
    """Returns columns of `force.csv`, as the `config.json` of the last stage has them.

    Those of the network and the forces are under `force`, those of the stages after it
    under their names.
    """
    config = read_json(run / _done(run)[-1] / CONFIG)
    start, stages = config["start"], config["stages"]
    force = stages.get("force", {"forces": {"norm": "none", "strength": 0.0}})
    settings = {
        "force": {
            "network": start["model"],
            "norm": force["forces"]["norm"],
            "strength": force["forces"]["strength"],
            "scale": force["forces"].get("scale", ""),
            "relative": force["forces"].get("relative", False),
            "from_scratch": not (
                stages["baseline"].get("recipe") or start["from"] or start["weights"]
            ),
            "force_epochs": force["recipe"]["epochs"] if "recipe" in force else 0,
        }
    }
    if "decompose" in stages:
        how = stages["decompose"]["settings"]
        settings["decompose"] = {
            "method": ", ".join(how["method"]),
            "bound": None if how["ranks"] or how["budget"] else how["error"],
            "recalibration_images": how["recalibration_images"],
        }
    if "finetune" in stages:
        epochs = stages["finetune"]["recipe"]["epochs"]
        settings["finetune"] = {"finetune_epochs": epochs}
    return settings


def _row(run) -> dict:
    """Returns what a compression did to its network, as far as it went."""
    done, settings = _done(run), _settings(run)
    row = settings["force"]
    row["baseline_error"] = _error(_result(run, "baseline"), "top1")
    row |= _network(run, "force" if "force" in done else "baseline")
    if "decompose" in done:
        result = _result(run, "decompose")
        row |= settings["decompose"]
        row["decomposed_error"] = _error(result, "top1")
        row |= {f"{name}_after": result[name] for name in ("macs", "params")}
    if "finetune" in done:
        row["finetuned_error"] = _error(_result(run, "finetune"), "top1")
        row |= settings["finetune"]
    return row


def _network(run, stage) -> dict:
    """Returns error, ranks and size of a network that is not decomposed."""
    result = _result(run, stage)
    return {
        "error": _error(result, "top1"),
        "validation_error": _error(result, "validation_top1"),
        **rank_columns(analyse(_load(run, stage))),
        "macs": result["macs"],
        "params": result["params"],
    }


def _error(result, name) -> float | None:
    return round(1 - result[name], 4) if name in result else None


def _numerators(ranks) -> str:
    return " ".join(part.split("/")[0] for part in ranks.split())


def _done(run) -> list[str]:
    return [stage for stage in STAGES if (run / stage / RESULT).exists()]


def _result(run, stage) -> dict:
    return read_json(run / stage / RESULT)


def _load(run, stage) -> keras.Model:
    return load_model(run / stage / MODEL)


def _finetuning_log(run) -> list[dict]:
    """Returns the log of the fine-tuning, over all its segments."""
    folder = run / "finetune"
    segments = sorted(folder.glob("segment*"), key=lambda path: int(path.name[7:]))
    return [row for part in [*segments, folder] for row in read_log(part)]


def _first_kernel(model):
    first = next(iter(find_convolutions(model).values()))
    return keras.ops.convert_to_numpy(first.kernel)
