"""Table 1 of Coordinating Filters and rank spectra, from the released networks."""

import json
import shlex
from importlib import resources
from pathlib import Path

from keras_roots import analysis
from keras_roots.training import evaluation, stages
from keras_roots.training.evaluation import Laboratory

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
    return json.loads(file.read_text())


def table1(laboratory: Laboratory) -> list[Path]:
    """Measures networks before and after forces, and decomposed: Table 1.

    Args:
        laboratory: Where and how.

    Returns:
        The files it wrote: `coordinating-filters/table1.csv`, in short `table1.md`, and
        for each model `spectra-MODEL.png`, the eigenvalues of its filters.

    Raises:
        ValueError: A model is not released, or a released file is damaged.
        ImportError: TensorFlow, LiteRT or matplotlib is not installed.
    """
    folder = laboratory.output_dir / FOLDER
    folder.mkdir(exist_ok=True)
    rows, pictures = [], []
    for model in MODELS:
        entries = evaluation.find_entries(model, DATASET)
        entries.sort(key=lambda entry: len(entry["weights"]))  # the baseline first
        measured = {
            network.entry["weights"]: network
            for network in evaluation.measure_released(entries, laboratory)
        }
        ranks = {
            name: stages.analyse(network.model)
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
        laboratory,
        folder / TABLE_1,
        "Coordinating Filters, Table 1",
        rows,
        _SHOWN,
        _cells,
    )
    return tables + pictures


def _cells(row) -> dict[str, str]:
    """The main columns of a row, in short."""
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
    """A row of the table: a network with or without forces, and decomposed."""
    network, force = measured[name], _force(name)
    paper = _published().get((network.entry["model"], force), {})
    row = network.columns(network) | {
        "network": network.entry["model"],
        "force": force,
        "strength": _strength(network.entry["command"]),
        "paper_error": paper.get("error"),
        "error": round(1 - network.correct().mean(), 4),
        "validation_top1": network.entry["validation_top1"],
        "paper_mean_rank_ratio": paper.get("mean_rank_ratio"),
        "mean_rank_ratio": round(ranks.mean_ratio, 4),
        "ranks": " ".join(f"{layer.rank}/{layer.full}" for layer in ranks.layers),
    }
    small = measured.get(name + _DECOMPOSED)
    if small is not None:
        times = {
            f"decomposed_{kind.removeprefix('litert_')}_ratio": round(
                small.latencies[kind].median_ms / network.latencies[kind].median_ms, 4
            )
            for kind in evaluation.LITERT
        }
        row |= times | {
            "decomposed_error": round(1 - small.correct().mean(), 4),
            "decomposed_int8_error": round(1 - small.correct("litert_int8").mean(), 4),
            "decomposed_macs": small.entry["macs"],
            "decomposed_macs_ratio": round(
                small.entry["macs"] / network.entry["macs"], 4
            ),
            "decomposed_params": small.entry["params"],
        }
    return row


def _published() -> dict:
    """The paper's rows by network and force."""
    table = [row for row in paper_rows() if row["run"] == "paper, Table 1"]
    return {(row["network"], row["norm"]): row for row in table}


def _force(weights) -> str:
    """The norm of the force in the name of weights: `l2` of `cifar10-force-l2`."""
    return weights.removeprefix(DATASET).removeprefix("-force-") or "none"


def _label(weights) -> str:
    force = _force(weights)
    return "baseline" if force == "none" else f"{force}-norm force"


def _strength(command) -> float | None:
    """The force's strength, as the command that trained a network gave it."""
    flags = dict(part.partition("=")[::2] for part in shlex.split(command))
    return float(flags["--force_strength"]) if "--force_strength" in flags else None
