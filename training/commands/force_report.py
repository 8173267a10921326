r"""Gathers compressions into the tables and pictures of the Force Regularization paper.

Example, over the output directories of keras-roots-compress in a folder:

  keras-roots-force-report --runs=runs/force --output_dir=results

Writes force.csv, a row per network: error, ranks, mean rank ratio, and error and
multiply-adds after decomposition and fine-tuning; tradeoff-MODEL.png, error against
rank over the strengths (Figure 6); curves-MODEL.png, the fine-tuning of decomposed
networks (Figure 7); spectra-MODEL.png, eigenvalues of the filters; filters-MODEL.png,
those of the first layer in the plane (Figure 2). Prints Table 1 with the paper's rows.
"""

import importlib.util
import json
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

import keras
from absl import flags

from keras_roots import utils
from keras_roots.convolutions import find_convolutions
from keras_roots.training import reports, stages
from keras_roots.training.commands import flags as shared
from keras_roots.training.trainer import MODEL, RESULT, read_log
from keras_roots.utils import format_table, load_model

TABLE = "force.csv"
CLUSTERS = 4  # of the filters in the plane


def find_runs(folder: str | os.PathLike) -> list[Path]:
    """Returns the output directories of compressions in a folder, however deep.

    Raises:
        ValueError: There is none.
    """
    results = Path(folder).rglob(f"baseline/{RESULT}")
    found = sorted(
        path.parent.parent
        for path in results
        if "baseline" in _config(path.parent.parent, "baseline")
    )
    if not found:
        raise ValueError(
            "`runs` must be a folder with output directories of keras-roots-compress. "
            f"Received: runs={os.fspath(folder)!r}"
        )
    return found


def collect(folder: str | os.PathLike) -> list[dict]:
    """Returns a row per network: baselines first, then what became of them.

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
        row = _row(run, Path(folder))
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
    """Returns Table 1: the paper's rows, then ours.

    Args:
        rows: Rows of `collect`.
    """
    header = ("", "network", "force", "strength", "error", "mean ratio")
    header += ("decomposed", "fine-tuned", "MACs", "ranks")
    lines = [
        (
            row["run"],
            row["network"],
            row["norm"],
            _text(row.get("strength"), "{:g}"),
            _text(row.get("error"), "{:.2%}"),
            _text(row.get("mean_rank_ratio"), "{:.2%}"),
            _text(row.get("decomposed_error"), "{:.2%}"),
            _text(row.get("finetuned_error"), "{:.2%}"),
            _text(row.get("macs_after"), "{:,}"),
            " ".join(part.split("/")[0] for part in (row.get("ranks") or "").split()),
        )
        for row in [*reports.paper_rows(), *rows]
    ]
    return format_table(header, lines, left=3)


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
    from keras_roots import analysis

    pictures = []

    def picture(name):
        pictures.append(Path(output_dir, f"{name}.png"))
        return pictures[-1]

    runs = {run: _relative(run, folder) for run in find_runs(folder)}
    for network in dict.fromkeys(row["network"] for row in rows):
        swept = [
            row
            for row in rows
            if row["network"] == network
            and row["scale"] in ("", "norm")
            and not row["from_scratch"]
            and row["mean_rank_ratio"] is not None
        ]
        lengths = [row["force_epochs"] for row in swept if row["strength"] > 0]
        if len(lengths) > 2:
            # One line joins runs of one length; the most common one.
            usual = statistics.mode(lengths)
            swept = [
                row
                for row in swept
                if not row["strength"] or row["force_epochs"] == usual
            ]
            validated = all(row["validation_error"] is not None for row in swept)
            error = "validation_error" if validated else "error"
            analysis.plot_tradeoff(
                [row | {"error": row[error]} for row in swept],
                picture(f"tradeoff-{network}"),
            )
        chosen = {
            name: run
            for run, name in runs.items()
            if _model_name(run) == network
            and (run / "force" / RESULT).exists()
            and (run / "decompose" / RESULT).exists()
        }
        if not chosen:
            continue
        models = {"baseline": _load(next(iter(chosen.values())), "baseline")}
        models |= {name: _load(run, "force") for name, run in chosen.items()}
        analysis.plot_spectra(
            {name: stages.analyse(m) for name, m in models.items()},
            picture(f"spectra-{network}"),
        )
        kernels = {name: _first_kernel(model) for name, model in models.items()}
        if all(kernel.shape[-1] > CLUSTERS for kernel in kernels.values()):
            analysis.plot_filters(kernels, picture(f"filters-{network}"), CLUSTERS)
        curves = {
            name: _finetuning_log(run)
            for run, name in runs.items()
            if _model_name(run) == network and (run / "finetune" / RESULT).exists()
        }
        if curves:
            analysis.plot_curves(curves, picture(f"curves-{network}"))
    return pictures


def main(argv) -> None:
    """Writes tables and pictures and prints the table."""
    del argv
    values = shared.FLAGS
    if not values.runs or not values.output_dir:
        raise ValueError("--runs and --output_dir are required: folders")
    rows = collect(values.runs)
    os.makedirs(values.output_dir, exist_ok=True)
    utils.write_csv(Path(values.output_dir, TABLE), rows)
    print(render(rows))
    if importlib.util.find_spec("matplotlib"):
        for path in draw(values.runs, rows, values.output_dir):
            print(path)


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define("output_dir")
    flags.DEFINE_string(
        "runs", None, "Folder with output directories of keras-roots-compress."
    )
    return ("runs", "output_dir")


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


def _row(run, folder) -> dict:
    """What a compression did to its network, as far as it went."""
    last = "force" if (run / "force" / RESULT).exists() else "baseline"
    config = _config(run, last)
    start = config["baseline"]["start"]
    force = config.get("force", {}).get("force", {"norm": "none", "strength": 0.0})
    row = {
        "run": _relative(run, folder),
        "network": _model_name(run),
        "norm": force["norm"],
        "strength": force["strength"],
        "scale": force.get("scale", ""),
        "relative": force.get("relative", False),
        "from_scratch": not (
            config["baseline"]["recipe"] or start.get("from") or start.get("weights")
        ),
        "force_epochs": config["force"]["recipe"]["epochs"] if "force" in config else 0,
        "baseline_error": _error(_result(run, "baseline"), "top1"),
        **_network(run, last),
    }
    if (run / "decompose" / RESULT).exists():
        how = _config(run, "decompose")["decompose"]["decomposition"]
        result = _result(run, "decompose")
        row |= {
            "method": how["method"],
            "bound": None if how["ranks"] else how["error"],
        }
        row |= {"recalibration_images": how["recalibration_images"]}
        row |= {"decomposed_error": _error(result, "top1")}
        row |= {f"{name}_after": result[name] for name in ("macs", "params")}
    if (run / "finetune" / RESULT).exists():
        result = _result(run, "finetune")
        recipe = _config(run, "finetune")["finetune"]["recipe"]
        row |= {"finetuned_error": _error(result, "top1")}
        row |= {"finetune_epochs": recipe["epochs"]}
    return row


def _network(run, stage) -> dict:
    """Error and ranks of an undecomposed network."""
    result = _result(run, stage)
    analysis = stages.analyse(_load(run, stage))
    return {
        "error": _error(result, "top1"),
        "validation_error": _error(result, "validation_top1"),
        "mean_rank_ratio": round(analysis.mean_ratio, 4),
        "ranks": " ".join(f"{layer.rank}/{layer.full}" for layer in analysis.layers),
        "macs": result["macs"],
        "params": result["params"],
    }


def _error(result, name) -> float | None:
    return round(1 - result[name], 4) if name in result else None


def _text(value, template) -> str:
    return "" if value is None else template.format(value)


def _relative(run, folder) -> str:
    return str(run.relative_to(folder))


def _model_name(run) -> str:
    return _config(run, "baseline")["baseline"]["start"]["model"]


def _config(run, stage) -> dict:
    return json.loads((run / stage / "config.json").read_text())


def _result(run, stage) -> dict:
    return json.loads((run / stage / RESULT).read_text())


def _load(run, stage) -> keras.Model:
    return load_model(run / stage / MODEL)


def _finetuning_log(run) -> list[dict]:
    """The log of the fine-tuning, over all its segments."""
    folder = run / "finetune"
    segments = sorted(folder.glob("segment*"), key=lambda path: int(path.name[7:]))
    return [row for part in [*segments, folder] for row in read_log(part)]


def _first_kernel(model):
    first = next(iter(find_convolutions(model).values()))
    return keras.ops.convert_to_numpy(first.kernel)
