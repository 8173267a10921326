"""Measuring a suite: its networks as files, compared in turns."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping

from keras_roots import benchmarking
from keras_roots.benchmarking import Case
from keras_roots.training.reports.performance.conversions import Converted
from keras_roots.training.reports.performance.suites import Suite
from keras_roots.training.reports.performance.trial import Trial
from keras_roots.utils import is_installed

# Modules of runtimes that need not be installed.
OTHER_RUNTIMES = ("onnxruntime", "openvino")
# Multiply-adds per second of a core, about: to estimate how long a suite takes.
_RATES = {None: 4e10, "int8": 1.2e11}


def possible(
    suite: Suite, progress: Callable[[str], None] = lambda line: None
) -> Suite:
    """Returns a suite without the runtimes that are not installed.

    Args:
        suite: The suite.
        progress: Called with a line of text for each of them.
    """
    missing = [name for name in OTHER_RUNTIMES if not is_installed(name)]
    grids = []
    for grid in suite.grids:
        runtimes = tuple(name for name in grid.runtime if name not in missing)
        for name in set(grid.runtime).intersection(missing):
            progress(f"without {name}, which is not installed")
        if runtimes:
            grids.append(dataclasses.replace(grid, runtime=runtimes))
    return dataclasses.replace(suite, grids=tuple(grids))


def measure(
    suite: Suite,
    converted: Mapping[Trial, Converted],
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict]:
    """Measures a suite.

    Args:
        suite: What to measure.
        converted: Its networks as files, as from `convert`; trials without one are
            left out.
        progress: Called with a line of text after each step.

    Returns:
        A row for each trial.

    Raises:
        ValueError: There is nothing to measure.
    """
    comparisons: dict[tuple, list[tuple[Trial, Converted]]] = {}
    for trial in suite.trials():
        file = converted.get(trial.conversion)
        if file is None:
            continue
        if suite.changed_only and trial.optimize and not file.changes:
            continue
        key = tuple(getattr(trial, name) for name in suite.apart)
        comparisons.setdefault(key, []).append((trial, file))
    if not comparisons:
        raise ValueError("None of the suite's networks could be converted")
    rows = []
    for pairs in comparisons.values():
        rows += _compare(suite, pairs, progress)
    for column, values in suite.columns.items():
        for row, value in zip(rows, values(rows), strict=True):
            row[column] = value
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    for row in rows:
        row |= {name: row.pop(name) for name in ("processor", "versions")}
        row["date"] = date
    return rows


def _compare(suite, pairs, progress) -> list[dict]:
    """Measures trials in turns; without the other runtimes if one of them refuses."""
    try:
        return _in_turns(suite, pairs, progress)
    except (ValueError, ImportError) as error:
        kept = [pair for pair in pairs if pair[0].runtime not in OTHER_RUNTIMES]
        if not kept or len(kept) == len(pairs):
            raise
        progress(f"without {' and '.join(OTHER_RUNTIMES)}: {error}")
        return _in_turns(suite, kept, progress)


def _in_turns(suite, pairs, progress) -> list[dict]:
    seconds = sum(
        file.macs * trial.batch_size / _RATES[trial.quantize] for trial, file in pairs
    )
    waking = suite.warmup + suite.rounds
    affordable = int(suite.seconds / seconds) - waking
    calls = max(suite.rounds, min(suite.calls, affordable))
    progress(
        f"measuring {len(pairs)} in turns, {calls} calls each, "
        f"about {seconds * (calls + waking):.0f} s"
    )
    cases = {
        str(index): Case(
            file.path,
            trial.runtime,
            trial.threads,
            trial.batch_size,
            label=" ".join(filter(None, (trial.model, trial.quantize, trial.optimize))),
        )
        for index, (trial, file) in enumerate(pairs)
    }
    measured = benchmarking.compare(
        cases,
        warmup=suite.warmup,
        runs=calls,
        rounds=suite.rounds,
        memory=all(trial.threads in suite.memory for trial, _ in pairs),
        progress=progress,
    )
    return [
        _row(*pair, latency, over=measured[0].name)
        for pair, latency in zip(pairs, measured, strict=True)
    ]


def _row(trial, file, latency, over) -> dict:
    known = {
        "model": trial.model,
        "family": trial.family,
        "root": trial.root,
        "side": file.side,
        "quantize": trial.quantize,
        "optimize": trial.optimize,
    }
    # A comparison of files does not know their quantisation, rewrites and counts.
    row = known | dataclasses.asdict(latency) | known | {"macs": file.macs}
    del row["name"]
    rewritten = " ".join(f"{name}:{count}" for name, count in file.changes.items())
    return row | {"over": over, "params": file.params, "rewritten": rewritten}
