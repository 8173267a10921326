"""Table 2 and Figures 5 and 6 of Deep Roots, from the zoo's released networks."""

from pathlib import Path

from keras_roots import analysis, models, utils
from keras_roots.training import evaluation
from keras_roots.training.evaluation import Conditions
from keras_roots.training.reports import paper_counts

MODEL, WEIGHTS = "root_nin", "cifar10"
FOLDER = "deep-roots"
TABLE_2 = "table2.csv"
# Figure 6: layers whose responses are correlated, and the paper's networks.
LAYERS = ("conv2c_relu", "conv3a")
CORRELATED = ("root_nin:1", "root_nin:4", "root_nin:8", "root_nin:32")

# Figure 5: columns of table 2; the paper's times are of another machine.
_COSTS = {
    "macs": "multiply-adds (million)",
    "params": "parameters (thousand)",
    "litert_float32_ms": "LiteRT float32 latency (ms)",
    "litert_int8_ms": "LiteRT int8 latency (ms)",
}
_SHOWN = {
    "network": "{}",
    "groups": "{}",
    "macs": "{:,}",
    "params": "{:,}",
    "paper_top1": "{:.2%}",
    "keras_top1": "{:.2%}",
    "litert_int8_top1": "{:.2%}",
    "difference": "{:+.2%}",
    "difference_low": "{:+.2%}",
    "difference_high": "{:+.2%}",
    "p_value": "{:.2g}",
    "litert_float32_ms": "{:.2f}",
    "litert_float32_ratio": "{:.2f}",
    "litert_int8_ms": "{:.2f}",
    "litert_int8_ratio": "{:.2f}",
}


def table2(conditions: Conditions) -> list[Path]:
    """Measures Network in Network on CIFAR-10: Table 2.

    The accuracy of every network is compared with the dense one's on the same images:
    difference, its 95 % confidence interval and the exact McNemar test.

    Args:
        conditions: Where and how.

    Returns:
        The files it wrote: `deep-roots/table2.csv`, and in short `table2.md`.

    Raises:
        ValueError: The dense network is not released, or a released file is damaged.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    entries = sorted(
        evaluation.find_entries(MODEL, WEIGHTS),
        key=lambda entry: (
            entry["topology"] != "root",
            entry["topology"],
            -entry["macs"],
        ),
    )
    if set(entries[0]["groups"]) != {1}:
        raise ValueError(f"The dense {MODEL} is not released as {WEIGHTS!r}")
    published = {
        (row["root"], row["topology"]): row
        for row in paper_counts.tables()["nin"]["rows"]
    }
    measured = evaluation.measure_released(entries, conditions)
    rows = [_row(network, measured[0], published) for network in measured]
    path = _folder(conditions) / TABLE_2
    return evaluation.write_table(
        conditions, path, "Deep Roots, Table 2", rows, _SHOWN, _cells
    )


def figure5(conditions: Conditions) -> list[Path]:
    """Draws error against multiply-adds, parameters and latency: Figure 5.

    Args:
        conditions: Where and how; `table2.csv` is there.

    Returns:
        The file it wrote, `deep-roots/figure5.png`.

    Raises:
        ValueError: There is no `table2.csv`.
        ImportError: matplotlib is not installed.
    """
    folder = _folder(conditions)
    try:
        rows = utils.read_csv(folder / TABLE_2)
    except FileNotFoundError as error:
        raise ValueError(
            f"Figure 5 is drawn from {str(folder / TABLE_2)!r}: measure table2 first"
        ) from error
    reference = [
        row | {"error": 1 - row["top1"]} for row in paper_counts.tables()["nin"]["rows"]
    ]
    path = folder / "figure5.png"
    analysis.plot_pareto(rows, path, _COSTS, reference)
    return [path]


def figure6(conditions: Conditions) -> list[Path]:
    """Correlates the filters of conv2c and conv3a over the test images: Figure 6.

    Args:
        conditions: Where and how.

    Returns:
        The files it wrote: `deep-roots/figure6.png`, and `figure6.csv` with the share
        of the squared correlation in the blocks on the diagonal that filter groups
        make, relative to that of evenly spread correlation.

    Raises:
        ValueError: No such network is released.
        ImportError: matplotlib is not installed.
    """
    found = {
        str(models.NetworkName.of_entry(entry)): entry
        for entry in evaluation.find_entries(MODEL, WEIGHTS)
    }
    chosen = [name for name in CORRELATED if name in found]
    groups_of = {name: models.NetworkName.parse(name).groups[1] for name in chosen}
    blocks = sorted(set(groups_of.values()) - {1})
    matrices, rows = {}, []
    for name in chosen:
        model = models.create_model(name, weights=WEIGHTS)
        size = model.input_shape[1]
        batches = conditions.dataset.test.batches(100, size)
        matrices[name] = analysis.filter_correlation(model, *LAYERS, batches)
        rows += [
            {
                "network": name,
                "groups": groups_of[name],
                "blocks": count,
                "block_structure": round(
                    analysis.block_structure(matrices[name], count), 4
                ),
                "images": conditions.dataset.test.count,
            }
            for count in (blocks if groups_of[name] == 1 else [groups_of[name]])
        ]
        conditions.say(f"{name}: correlated {' and '.join(LAYERS)}")
    folder = _folder(conditions)
    table, picture = folder / "figure6.csv", folder / "figure6.png"
    utils.write_csv(table, rows)
    analysis.plot_correlation(
        {_title(name): matrix for name, matrix in matrices.items()}, picture
    )
    return [table, picture]


def _row(network, dense, published) -> dict:
    """Returns a row of Table 2, with the paper's own beside it."""
    root, topology = network.entry["root"], network.entry["topology"]
    paper = published.get((root, topology), {})
    low, high = evaluation.wilson_interval(network.formats["keras"].correct)
    row = network.columns(dense)
    row |= {
        "root": root,
        "topology": topology,
        "paper_top1": paper.get("top1"),
        "paper_cpu_ms": paper.get("cpu_ms"),
        "validation_top1": network.entry["validation_top1"],
        "error": round(1 - row["keras_top1"], 4),
        "error_low": round(1 - high, 5),
        "error_high": round(1 - low, 5),
    }
    if network is not dense:
        row |= _comparison(dense, network)
    return row | evaluation.where()


def _cells(row) -> dict[str, str]:
    """Returns the main columns of a row, in short."""
    compared = row.get("difference") is not None
    bounds = (row.get(f"difference{part}") for part in ("", "_low", "_high"))
    difference = "{:+.2%} ({:+.2%} to {:+.2%})".format(*bounds) if compared else ""
    return {
        "network": f"`{row['network']}`",
        "multiply-adds": f"{row['macs'] / 1e6:.0f} M",
        "parameters": f"{row['params'] / 1e6:.2f} M",
        "top-1, paper": f"{row['paper_top1']:.2%}" if row["paper_top1"] else "",
        "top-1, here": f"{row['keras_top1']:.2%}",
        "against dense, 95 % interval": difference,
        "int8 top-1": f"{row['litert_int8_top1']:.2%}",
    } | {
        kind.replace("litert_", "LiteRT "): (
            f"{row[f'{kind}_ms']:.2f} ms ({row[f'{kind}_ratio']:.2f})"
        )
        for kind in evaluation.LITERT_FORMATS
    }


def _comparison(dense, network) -> dict:
    compared = analysis.compare_paired(
        dense.formats["keras"].correct, network.formats["keras"].correct
    )
    return {
        "difference": round(compared.difference, 4),
        "difference_low": round(compared.low, 5),
        "difference_high": round(compared.high, 5),
        "p_value": float(f"{compared.p_value:.3g}"),
    }


def _title(name) -> str:
    root = models.NetworkName.parse(name).root
    return "dense" if root == 1 else f"root-{root}"


def _folder(conditions) -> Path:
    folder = conditions.output_dir / FOLDER
    folder.mkdir(exist_ok=True)
    return folder
