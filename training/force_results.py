"""Table 1 of Coordinating Filters and rank spectra, from the released networks."""

import shlex
from pathlib import Path

from keras_roots import analysis, files
from keras_roots.tables import format_rows, markdown_table
from keras_roots.training import compression_report, force_report, zoo_measuring
from keras_roots.training.zoo_measuring import Laboratory

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
    rows, paths = [], [folder / TABLE_1, folder / "table1.md"]
    for model in MODELS:
        entries = zoo_measuring.find_entries(model, DATASET)
        entries.sort(key=lambda entry: len(entry["weights"]))  # the baseline first
        measured = {
            network.entry["weights"]: network
            for network in zoo_measuring.measure(entries, laboratory)
        }
        ranks = {
            name: compression_report.analyse(network.model)
            for name, network in measured.items()
            if not name.endswith(_DECOMPOSED)
        }
        rows += [
            _row(measured, name, analysed) | zoo_measuring.where()
            for name, analysed in ranks.items()
        ]
        paths.append(folder / f"spectra-{model}.png")
        analysis.plot_spectra(
            {_label(name): analysed for name, analysed in ranks.items()}, paths[-1]
        )
    files.write_csv(paths[0], rows)
    files.write_text(paths[1], markdown(rows))
    laboratory.say(f"\nCoordinating Filters, Table 1\n\n{render(rows)}\n")
    return paths


def render(rows: list[dict]) -> str:
    """Returns Table 1 as text.

    Args:
        rows: Rows of `table1.csv`.
    """
    return format_rows(rows, _SHOWN, left=2)


def markdown(rows: list[dict]) -> str:
    """Returns the main columns of Table 1 in Markdown.

    Args:
        rows: Rows of `table1.csv`.
    """
    header = ["network", "force", "error, paper / here"]
    header += ["mean rank ratio, paper / here", "decomposed at 5 %: error"]
    header += ["multiply-adds", "LiteRT float32 / int8"]
    return markdown_table(header, map(_cells, rows)) + "\n"


def _cells(row) -> list[str]:
    decomposed = row.get("decomposed_error") is not None
    strength = "" if row["strength"] is None else f", {row['strength']:g}"
    return [
        f"`{row['network']}`",
        f"{row['force']}{strength}",
        _both(row, "error", ".2%"),
        _both(row, "mean_rank_ratio", ".1%"),
        f"{row['decomposed_error']:.2%}" if decomposed else "",
        f"{row['decomposed_macs_ratio']:.2f}" if decomposed else "",
        "{decomposed_float32_ratio:.2f} / {decomposed_int8_ratio:.2f}".format(**row)
        if decomposed
        else "",
    ]


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
            for kind in zoo_measuring.LITERT
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
    table = [row for row in force_report.paper_rows() if row["run"] == "paper, Table 1"]
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
