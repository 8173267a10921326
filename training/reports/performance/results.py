"""Results of suites: measured, written to CSV files, printed and drawn."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from keras_roots import utils
from keras_roots.training.reports.performance.columns import table
from keras_roots.training.reports.performance.conversions import convert, keep_only
from keras_roots.training.reports.performance.measure import measure
from keras_roots.training.reports.performance.pictures import draw
from keras_roots.training.reports.performance.suites import Suite


def run(
    suites: Mapping[str, Suite],
    output_dir: str | os.PathLike,
    files_dir: str | os.PathLike | None = None,
    processes: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> None:
    """Measures suites one after the other, and writes and shows their results.

    Args:
        suites: Suites by name.
        output_dir: Existing folder to write to.
        files_dir: Existing folder for the converted networks; those that it holds are
            not converted again. By default one that is removed at the end, and keeps
            only the files that later suites need.
        processes: As for `convert`.
        progress: Called with a line of text after each step.

    Raises:
        ValueError: Nothing of a suite can be measured.
        OSError: Results cannot be written.
    """
    with contextlib.ExitStack() as stack:
        folder = files_dir or stack.enter_context(tempfile.TemporaryDirectory())
        for index, (name, suite) in enumerate(suites.items()):
            start = time.perf_counter()
            progress(f"{name}: {suite.title}")
            converted = convert(suite.trials(), folder, processes, progress)
            rows = measure(suite, converted, progress)
            utils.write_csv(_csv(output_dir, name), rows)
            _show(name, output_dir, suite)
            progress(f"{name}: {time.perf_counter() - start:.0f} s")
            if files_dir is None:
                rest = list(suites.values())[index + 1 :]
                keep_only(folder, [trial for each in rest for trial in each.trials()])


def show(suites: Mapping[str, Suite], output_dir: str | os.PathLike) -> None:
    """Prints the suites that have been measured, and draws them, given matplotlib.

    Args:
        suites: Suites by name.
        output_dir: Folder of their CSV files, and for the pictures.

    Raises:
        ValueError: There is no such file.
        OSError: One cannot be read.
    """
    measured = [name for name in suites if _csv(output_dir, name).exists()]
    if not measured:
        raise ValueError(
            "`output_dir` must hold results: "
            f"{' or '.join(_csv('', name).name for name in suites)}. "
            f"Received: output_dir={os.fspath(output_dir)!r}"
        )
    for name in measured:
        _show(name, output_dir, suites[name])


def _show(name, output_dir, suite):
    rows = utils.read_csv(_csv(output_dir, name))
    columns = ["ratio", *suite.columns]
    columns += ["load_ms", "memory_mb", "peak_mb"] if suite.memory else []
    print(f"{suite.title}\n\n{table(rows, columns)}\n")
    for line in suite.notes(rows):
        print(line)
    if utils.is_installed("matplotlib"):
        for path in draw(name, rows, output_dir):
            print(path)


def _csv(output_dir, name) -> Path:
    return Path(output_dir, f"{name}.csv")
