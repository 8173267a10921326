"""Measuring a suite of keras-roots-performance."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping

from keras_roots import benchmarking
from keras_roots.benchmarking import Case
from keras_roots.training.reports.conversions import Conversion, Converted
from keras_roots.training.reports.performance_suites import Suite, Trial

# Modules of runtimes that need not be installed.
OTHER_RUNTIMES = ("onnxruntime", "openvino")
# Multiply-adds per second of a core, about: to tell how long measurements will take.
_RATES = {None: 4e10, "int8": 1.2e11}


def measure(
    suite: Suite,
    converted: Mapping[Conversion, Converted],
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict]:
    """Measures a suite.

    Args:
        suite: What to measure.
        converted: Its networks as files; trials without one are left out.
        progress: Called with a line of text after each step.

    Returns:
        A row for each trial.

    Raises:
        ValueError: There is nothing to measure.
    """
    comparisons: dict[tuple, list[Trial]] = {}
    for trial in suite.trials():
        file = converted.get(trial.conversion)
        if file is None:
            continue
        if suite.changed_only and trial.optimize and not file.changes:
            continue
        key = tuple(getattr(trial, name) for name in suite.apart)
        comparisons.setdefault(key, []).append(trial)
    if not comparisons:
        raise ValueError("None of the suite's networks could be converted")
    rows = []
    for trials in comparisons.values():
        rows += _compare(suite, trials, converted, progress)
    for column, values in suite.columns.items():
        for row, value in zip(rows, values(rows), strict=True):
            row[column] = value
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    for row in rows:
        row |= {name: row.pop(name) for name in ("processor", "versions")}
        row["date"] = date
    return rows


def _compare(suite, trials, converted, progress) -> list[dict]:
    """Measures trials in turns; without the other runtimes if one of them refuses."""
    try:
        return _in_turns(suite, trials, converted, progress)
    except (ValueError, ImportError) as error:
        kept = [trial for trial in trials if trial.runtime not in OTHER_RUNTIMES]
        if not kept or len(kept) == len(trials):
            raise
        progress(f"without {' and '.join(OTHER_RUNTIMES)}: {error}")
        return _in_turns(suite, kept, converted, progress)


def _in_turns(suite, trials, converted, progress) -> list[dict]:
    found = [converted[trial.conversion] for trial in trials]
    seconds = sum(
        file.macs * trial.batch_size / _RATES[trial.quantize]
        for trial, file in zip(trials, found, strict=True)
    )
    waking = suite.warmup + suite.rounds
    affordable = int(suite.seconds / seconds) - waking
    calls = max(suite.rounds, min(suite.calls, affordable))
    progress(
        f"measuring {len(trials)} in turns, {calls} calls each, "
        f"about {seconds * (calls + waking):.0f} s"
    )
    cases = {
        str(index): Case(
            file.path,
            trial.runtime,
            trial.threads,
            trial.batch_size,
            label=_label(trial),
        )
        for index, (trial, file) in enumerate(zip(trials, found, strict=True))
    }
    measured = benchmarking.compare(
        cases,
        warmup=suite.warmup,
        runs=calls,
        rounds=suite.rounds,
        memory=all(trial.threads in suite.memory for trial in trials),
        progress=progress,
    )
    return [
        _row(trial, file, latency, over=measured[0].name)
        for trial, file, latency in zip(trials, found, measured, strict=True)
    ]


def _label(trial) -> str:
    return " ".join(filter(None, (trial.model, trial.quantize, trial.optimize)))


def _row(trial, file, latency, over) -> dict:
    row = {
        "model": trial.model,
        "family": trial.family,
        "root": trial.root,
        "side": file.side,
        "quantize": None,
        "optimize": None,
        **dataclasses.asdict(latency),
        "over": over,
        "params": file.params,
        "rewritten": " ".join(f"{name}:{n}" for name, n in file.changes.items()),
    }
    del row["name"]
    # What a comparison of files does not know.
    known = {"quantize": trial.quantize, "optimize": trial.optimize}
    return row | known | {"macs": file.macs}
