"""The file that a compression within a budget leaves, beside those of the original."""

from collections.abc import Mapping, Sequence

import keras_roots
from keras_roots import benchmarking, compression, utils
from keras_roots.export import ExportError
from keras_roots.training import evaluation, runs
from keras_roots.training.reports.compression import QUANTIZATIONS
from keras_roots.training.reports.page import write_page
from keras_roots.training.stages import Budget, Context, Outcome
from keras_roots.utils import format_rows

FILE = "model.tflite"
TABLE = "table.csv"
BUDGET = "budget.csv"
_BUDGET_COLUMNS = {
    "name": "{}",
    "quantize": "{}",
    "top1": "{:.2%}",
    "macs": "{:,}",
    "params": "{:,}",
    "bytes": "{:,}",
    "ms": "{:.3f}",
    "ratio": "{:.3f}",
}
_UNLABELLED_COLUMNS = {
    "name": "{}",
    "quantize": "{}",
    "agreement": "{:.2%}",
    "error": "{:.2%}",
    "macs": "{:,}",
    "params": "{:,}",
    "bytes": "{:,}",
    "ms": "{:.3f}",
    "ratio": "{:.3f}",
}


def deliver(outcome: Outcome, context: Context, budget: Budget) -> list[dict]:
    """Exports what a compression within a budget has left, and measures it.

    Writes `model.tflite`, `budget.csv` and `report.html`, which shows the stages too,
    into its folder.

    Args:
        outcome: What the stages have left.
        context: Where they ran.
        budget: The budget: its threads, and its images, which calibrate.

    Returns:
        A row of the original's float32 and int8 files and of the compressed network's:
        `name`, `quantize`, `top1`, `macs`, `params`, `bytes`, `ms`, and `ratio` to the
        first.

    Raises:
        ValueError: Stages are not done, or a file does not agree with its network.
        OSError: The folder cannot be written.
    """
    last = _last(outcome)
    original, small = outcome.model("baseline"), outcome.model(last)
    chosen = outcome.result("decompose").get("quantize")
    images = context.sample(original, budget.recalibration_images)
    folder = outcome.folder / "export"
    folder.mkdir(exist_ok=True)
    kinds = {None: "float32", "int8": "int8"}
    files = {
        ("original", "float32"): (original, folder / "original-float32.tflite"),
        ("original", "int8"): (original, folder / "original-int8.tflite"),
        ("compressed", kinds[chosen]): (small, outcome.folder / FILE),
    }
    targets = {"original": {}, "compressed": {}}
    for (name, kind), (model, path) in files.items():
        quantize = QUANTIZATIONS[kind]
        keras_roots.export_tflite(model, path, quantize, images, optimize="latency")
        targets[name][kind] = path
    found = evaluation.measure(
        targets,
        context.dataset,
        threads=budget.threads,
        timed_threads=budget.threads,
    )
    rows = []
    for (name, kind), (model, _) in files.items():
        counted = keras_roots.profile(model)
        measured = found[name][kind]
        rows.append(
            {
                "name": name,
                "quantize": QUANTIZATIONS[kind] or "none",
                **measured.columns("top1"),
                "macs": counted.macs,
                "params": counted.params,
                **measured.columns("bytes", "ms", "ratio"),
            }
        )
    source = runs.describe()
    utils.write_csv(outcome.folder / BUDGET, [row | source for row in rows])
    stages = [_of_stage(name, outcome.result(name)) for name in outcome.done]
    write_page(outcome, context, [*stages, *rows], _BUDGET_COLUMNS)
    return rows


def _of_stage(name, result) -> dict:
    columns = ("top1", "macs", "params")
    return {"name": name} | {column: result.get(column) for column in columns}


def render_budget(rows: Sequence[Mapping]) -> str:
    """Returns the rows of `deliver` as a table for the terminal."""
    return format_rows(rows, _BUDGET_COLUMNS, left=2)


def deliver_unlabelled(
    outcome: Outcome, context: Context, threads: int = 1, runs_of_each: int = 200
) -> list[dict]:
    """Exports what a compression without labels has left, and compares the files.

    Writes `model.keras`, `model.tflite`, `table.csv` and `report.html` into its folder.

    Args:
        outcome: What the stages have left.
        context: Where they ran; its data set is samples without labels.
        threads: Threads of the LiteRT runtime.
        runs_of_each: Timed calls of each file, at least.

    Returns:
        A row of each stage's network, then of each file: the original's in float32 and
        int8, and the compressed network's. Each has `name`, `quantize` (of files),
        `agreement` and `error` on the samples held out, as for
        `evaluation.score_model`, `errors` by output where there are several, `macs`,
        `params`; of files also `bytes`, `ms`, and `ratio` to the time of the first. An
        int8 file of the original that does not agree with it has no row.

    Raises:
        ValueError: Stages are not done, or a file does not agree with its network.
        OSError: The folder cannot be written.
        ImportError: LiteRT or TensorFlow is not installed.
    """
    last = _last(outcome)
    dataset, folder = context.dataset, outcome.folder / "export"
    folder.mkdir(exist_ok=True)
    against = compression.Evaluation(
        dataset.original, dataset.held_out, threads=threads
    )
    rows = [against.row(name, outcome.model(name)) for name in outcome.done]
    original, small = outcome.model("baseline"), outcome.model(last)
    chosen = outcome.result("decompose").get("quantize")
    files = {
        "original, float32": (original, None),
        "original, int8": (original, "int8"),
        "compressed": (small, chosen),
    }
    samples = dataset.fitted.take(evaluation.CALIBRATION_IMAGES)
    cases = {}
    for name, (model, quantize) in files.items():
        path = folder / f"{name.replace(', ', '-')}.tflite"
        try:
            how = {"calibration_data": samples.inputs, "optimize": "latency"}
            keras_roots.export_tflite(model, path, quantize, **how)
        except ExportError as error:
            if name != "original, int8":
                raise
            context.say(f"{name}: no file: {error}")
            continue
        cases[name] = benchmarking.Case(path, threads=threads)
    latencies = benchmarking.compare(cases, runs=runs_of_each)
    for (name, case), latency in zip(cases.items(), latencies, strict=True):
        model, quantize = files[name]
        content = case.target.read_bytes()
        row = against.row(name, model, against.of_file(content))
        row |= {"quantize": quantize or "none", "bytes": len(content)}
        row |= {"ms": round(latency.median_ms, 4), "ratio": round(latency.ratio, 4)}
        rows.append(row)
    utils.copy(outcome.folder / last / runs.MODEL, outcome.folder / runs.MODEL)
    utils.copy(cases["compressed"].target, outcome.folder / FILE)
    flat = [compression.flat(row) | runs.describe() for row in rows]
    columns = dict.fromkeys(name for row in flat for name in row)
    flat = [{name: row.get(name) for name in columns} for row in flat]
    utils.write_csv(outcome.folder / TABLE, flat)
    shown = compression.flat_columns(_UNLABELLED_COLUMNS, rows)
    write_page(outcome, context, flat, shown)
    return rows


def render_unlabelled(rows: Sequence[Mapping]) -> str:
    """Returns the rows of `deliver_unlabelled` as a table for the terminal."""
    columns = compression.flat_columns(_UNLABELLED_COLUMNS, rows)
    return format_rows([compression.flat(row) for row in rows], columns, left=2)


def _last(outcome) -> str:
    """Name of the stage whose network is delivered."""
    if "decompose" not in outcome.done:
        raise ValueError(
            f"{str(outcome.folder)!r} has no network that meets the budget yet: "
            "run the stages baseline and decompose"
        )
    return outcome.done[-1]
