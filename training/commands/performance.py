r"""Measures everything that the page of results shows, and draws its pictures.

Examples:
  keras-roots-performance --output_dir=zoo/results/performance
  keras-roots-performance --output_dir=zoo/results/performance --suite=groups,sizes
  keras-roots-performance --output_dir=zoo/results/performance --plot_only
  keras-roots-performance --output_dir=zoo/results/performance --files_dir=/tmp/files \
      --convert_only

Writes SUITE.csv, a row per network with the processor, the versions and the date, and
one picture or more, SUITE*.png. The suites:

{suites}

Networks are untrained: that makes no difference to their speed. Each is converted to a
file first, several at a time; those that are compared are then measured in turns, which
takes about 20 minutes for all suites, while nothing else should run. Converting takes
as long again on two cores, but can be done before, with --convert_only.
"""

import contextlib
import dataclasses
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from absl import flags

from keras_roots import utils
from keras_roots.training import reports
from keras_roots.training.commands import flags as shared
from keras_roots.training.reports import (
    OTHER_RUNTIMES,
    SUITES,
    Conversion,
    Converted,
    Suite,
    measure_suite,
    quick_suite,
)


def run_suites(
    suites: Mapping[str, Suite],
    output_dir: str | os.PathLike,
    files_dir: str | os.PathLike | None = None,
    *,
    processes: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> None:
    """Measures suites one after the other, and writes and prints their results.

    Args:
        suites: Suites by name.
        output_dir: Existing folder to write to.
        files_dir: Existing folder for the converted networks; those that it holds are
            not converted again. By default one that is removed at the end, and has
            only what is needed yet.
        processes: As for `conversions.convert`.
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
            converted = convert_suite(suite, folder, processes, progress)
            rows = measure_suite(suite, converted, progress)
            utils.write_csv(_csv(output_dir, name), rows)
            show(name, output_dir, suite)
            progress(f"{name}: {time.perf_counter() - start:.0f} s")
            if files_dir is None:
                rest = list(suites.values())[index + 1 :]
                _keep(folder, {key for other in rest for key in _conversions(other)})


def convert_suite(
    suite: Suite,
    files_dir: str | os.PathLike,
    processes: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[Conversion, Converted]:
    """Converts the networks of a suite, and says which it cannot convert.

    Args:
        suite: The suite.
        files_dir: Existing folder for the converted networks.
        processes: As for `conversions.convert`.
        progress: As for `run_suites`.

    Returns:
        The files.
    """
    results = reports.convert(_conversions(suite), files_dir, processes, progress)
    for conversion, result in results.items():
        if not isinstance(result, Converted):
            progress(f"cannot convert {conversion}: {result}")
    return {
        conversion: result
        for conversion, result in results.items()
        if isinstance(result, Converted)
    }


def show(name: str, output_dir: str | os.PathLike, suite: Suite) -> None:
    """Prints what a suite's CSV file holds, and draws it if matplotlib is installed.

    Args:
        name: Name of the suite.
        output_dir: Folder of the file, and for the pictures.
        suite: The suite.

    Raises:
        OSError: The file cannot be read.
    """
    rows = utils.read_csv(_csv(output_dir, name))
    columns = ["ratio", *suite.columns]
    columns += ["load_ms", "memory_mb", "peak_mb"] if suite.memory else []
    print(f"{suite.title}\n\n{reports.performance_table(rows, columns)}\n")
    for line in suite.notes(rows):
        print(line)
    if importlib.util.find_spec("matplotlib"):
        for path in reports.draw_performance(name, rows, output_dir):
            print(path)


def show_results(suites: Mapping[str, Suite], output_dir: str | os.PathLike) -> None:
    """Shows the suites that have been measured, as `show` does.

    Args:
        suites: Suites by name.
        output_dir: Folder of their CSV files.

    Raises:
        ValueError: There is none.
        OSError: One cannot be read.
    """
    measured = [name for name in suites if _csv(output_dir, name).exists()]
    if not measured:
        raise ValueError(
            "--plot_only needs results that a run without it has written to "
            f"--output_dir: {' or '.join(f'{name}.csv' for name in suites)}. "
            f"Received: {os.fspath(output_dir)!r}"
        )
    for name in measured:
        show(name, output_dir, suites[name])


def possible(
    suite: Suite, progress: Callable[[str], None] = lambda line: None
) -> Suite:
    """Returns a suite without the runtimes that are not installed.

    Args:
        suite: The suite.
        progress: Called with a line of text for each of them.
    """
    missing = {
        name for name in OTHER_RUNTIMES if importlib.util.find_spec(name) is None
    }
    grids = []
    for grid in suite.grids:
        runtimes = tuple(name for name in grid.runtime if name not in missing)
        for name in missing.intersection(grid.runtime):
            progress(f"without {name}, which is not installed")
        if runtimes:
            grids.append(dataclasses.replace(grid, runtime=runtimes))
    return dataclasses.replace(suite, grids=tuple(grids))


def choose(names: Sequence[str]) -> dict[str, Suite]:
    """Returns suites by name.

    Args:
        names: Names of suites, none for all.

    Raises:
        ValueError: There is no such suite.
    """
    if not set(names) <= set(SUITES):
        raise ValueError(
            f"--suite must be among {','.join(SUITES)}, separated by commas. "
            f"Received: {','.join(names)!r}"
        )
    return {name: SUITES[name] for name in SUITES if not names or name in names}


def main(argv) -> None:
    """Measures, or only draws, as the flags say."""
    del argv
    values = shared.FLAGS
    if not values.output_dir:
        raise ValueError("--output_dir is required: the folder for the results")
    suites = choose(values.suite)
    if values.plot_only:
        show_results(suites, values.output_dir)
        return
    if values.convert_only and not values.files_dir:
        raise ValueError("--convert_only needs --files_dir: the folder for the files")
    for folder in filter(None, (values.output_dir, values.files_dir)):
        os.makedirs(folder, exist_ok=True)
    if values.quick:
        suites = {name: quick_suite(suite) for name, suite in suites.items()}
    suites = {name: possible(suite, _progress) for name, suite in suites.items()}
    if values.convert_only:
        for suite in suites.values():
            convert_suite(suite, values.files_dir, progress=_progress)
        return
    run_suites(suites, values.output_dir, values.files_dir, progress=_progress)


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define("output_dir")
    own = (
        flags.DEFINE_list("suite", [], f"Some of {','.join(SUITES)}; by default all."),
        flags.DEFINE_bool(
            "plot_only",
            False,
            "Draw what the folder's CSV files hold, measure nothing.",
        ),
        flags.DEFINE_string(
            "files_dir",
            None,
            "Folder to keep the converted networks in (10 GB for all suites); those "
            "that are there are not converted again, whatever has changed since.",
        ),
        flags.DEFINE_bool("convert_only", False, "Fill --files_dir, measure nothing."),
        flags.DEFINE_bool(
            "quick", False, "Measure little, to see that it works: times mean nothing."
        ),
    )
    return ("output_dir", *(flag.name for flag in own))


def run() -> None:
    """Runs the binary."""
    listed = (f"  {name:<10} {suite.title}" for name, suite in SUITES.items())
    shared.launch(main, __doc__.format(suites="\n".join(listed)), define_flags())


def _conversions(suite) -> list[Conversion]:
    return list(dict.fromkeys(trial.conversion for trial in suite.trials()))


def _keep(folder, needed):
    """Removes the files that are of no more use."""
    kept = {file.path for file in reports.read_conversions(folder, needed).values()}
    for path in Path(folder).iterdir():
        if os.fspath(path) not in kept and path.name != reports.CONVERSIONS:
            path.unlink()


def _csv(output_dir, name) -> Path:
    return Path(output_dir, f"{name}.csv")


def _progress(line):
    print(line, file=sys.stderr, flush=True)
