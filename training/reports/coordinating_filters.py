"""Table 1 of Coordinating Filters and rank spectra, from the released networks."""

import json
import shlex
from importlib import resources
from pathlib import Path

from keras_roots import analysis
from keras_roots.lowrank import RankAnalysis
from keras_roots.training import evaluation
from keras_roots.training.evaluation import Conditions
from keras_roots.training.reports.compression import analyse

MODELS = ("root_convnet", "root_resnet20")
DATASET = "cifar10"
FOLDER = "coordinating-filters"
TABLE_1 = "table1.csv"
_DECOMPOSED = "-decomposed"

_SHOWN = {
    "network": "{}",
    "force": "{}",
    "strength": "{}",
    "paper_error": "{:.2%}",
    "error": "{:.2%}",
    "paper_mean_rank_ratio": "{:.1%}",
    "mean_rank_ratio": "{:.1%}",
    "decomposed_error": "{:.2%}",
    "decomposed_int8_error": "{:.2%}",
    "decomposed_macs_ratio": "{:.2f}",
    "decomposed_float32_ratio": "{:.2f}",
    "decomposed_int8_ratio": "{:.2f}",
}


def paper_rows() -> list[dict]:
    """Returns Table 1 of the paper, as the zoo's `force_paper.json` holds it."""
    file = resources.files("keras_roots.zoo") / "force_paper.json"
    return json.loads(file.read_text("utf-8"))


def rank_columns(ranks: RankAnalysis) -> dict:
    """Returns the columns of every table with the ranks of a network."""
    return {
        "mean_rank_ratio": round(ranks.mean_ratio, 4),
        "ranks": " ".join(f"{layer.rank}/{layer.full}" for layer in ranks.layers),
    }


def table1(conditions: Conditions) -> list[Path]:
    """Measures networks before and after forces, and decomposed: Table 1.

    Args:
        conditions: Where and how.

    Returns:
        The files it wrote: `coordinating-filters/table1.csv`, in short `table1.md`, and
        for each model `spectra-MODEL.png`, the eigenvalues of its filters.

    Raises:
        ValueError: A model is not released, or a released file is damaged.
        ImportError: TensorFlow, LiteRT or matplotlib is not installed.
    """
    folder = conditions.output_dir / FOLDER
    folder.mkdir(exist_ok=True)
    rows, pictures = [], []
    for model in MODELS:
        entries = evaluation.find_entries(model, DATASET)
        entries.sort(key=lambda entry: len(entry["weights"]))  # the baseline first
        measured = {
            network.entry["weights"]: network
            for network in evaluation.measure_released(entries, conditions)
        }
        ranks = {
            name: analyse(network.model)
            for name, network in measured.items()
            if not name.endswith(_DECOMPOSED)
        }
        rows += [
            _row(measured, name, analysed) | evaluation.where()
            for name, analysed in ranks.items()
        ]
        pictures.append(folder / f"spectra-{model}.png")
        analysis.plot_spectra(
            {_label(name): analysed for name, analysed in ranks.items()}, pictures[-1]
        )
    tables = evaluation.write_table(
        conditions,
        folder / TABLE_1,
        "Coordinating Filters, Table 1",
        rows,
        _SHOWN,
        _cells,
    )
    return tables + pictures


def _cells(row) -> dict[str, str]:
    """Returns the main columns of a row, in short."""
    decomposed = row.get("decomposed_error") is not None
    strength = "" if row["strength"] is None else f", {row['strength']:g}"
    cells = {
        "network": f"`{row['network']}`",
        "force": f"{row['force']}{strength}",
        "error, paper / here": _both(row, "error", ".2%"),
        "mean rank ratio, paper / here": _both(row, "mean_rank_ratio", ".1%"),
    }
    forms = {
        "decomposed at 5 %: error": "{decomposed_error:.2%}",
        "multiply-adds": "{decomposed_macs_ratio:.2f}",
        "LiteRT float32 / int8": (
            "{decomposed_float32_ratio:.2f} / {decomposed_int8_ratio:.2f}"
        ),
    }
    return cells | {
        name: form.format(**row) if decomposed else "" for name, form in forms.items()
    }


def _both(row, name, form) -> str:
    paper = row[f"paper_{name}"]
    return f"{'–' if paper is None else format(paper, form)} / {row[name]:{form}}"


def _row(measured, name, ranks) -> dict:
    """Returns a row of the table: a network, with or without forces, and decomposed."""
    network, force = measured[name], _force(name)
    paper = _published().get((network.entry["model"], force), {})
    row = network.columns(network) | {
        "network": network.entry["model"],
        "force": force,
        "strength": _strength(network.entry["command"]),
        "paper_error": paper.get("error"),
        "error": round(1 - network.formats["keras"].correct.mean(), 4),
        "validation_top1": network.entry["validation_top1"],
        "paper_mean_rank_ratio": paper.get("mean_rank_ratio"),
        **rank_columns(ranks),
    }
    small = measured.get(name + _DECOMPOSED)
    if small is not None:
        times = {
            f"decomposed_{kind.removeprefix('litert_')}_ratio": round(
                small.formats[kind].ms / network.formats[kind].ms, 4
            )
            for kind in evaluation.LITERT_FORMATS
        }
        row |= times | {
            "decomposed_error": round(1 - small.formats["keras"].correct.mean(), 4),
            "decomposed_int8_error": round(
                1 - small.formats["litert_int8"].correct.mean(), 4
            ),
            "decomposed_macs": small.entry["macs"],
            "decomposed_macs_ratio": round(
                small.entry["macs"] / network.entry["macs"], 4
            ),
            "decomposed_params": small.entry["params"],
        }
    return row


def _published() -> dict:
    """Returns the paper's rows by network and force."""
    table = [row for row in paper_rows() if row["run"] == "paper, Table 1"]
    return {(row["network"], row["norm"]): row for row in table}


def _force(weights) -> str:
    """Returns the norm in the name of weights: `l2` of `cifar10-force-l2`."""
    return weights.removeprefix(DATASET).removeprefix("-force-") or "none"


def _label(weights) -> str:
    force = _force(weights)
    return "baseline" if force == "none" else f"{force}-norm force"


def _strength(command) -> float | None:
    """Returns the force's strength, from the command that trained a network."""
    flags = dict(part.partition("=")[::2] for part in shlex.split(command))
    return float(flags["--force_strength"]) if "--force_strength" in flags else None
