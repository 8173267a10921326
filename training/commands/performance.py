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
file first, several at a time. Those that are compared are then measured in turns, which
takes about 20 minutes for all suites, while nothing else should run. Converting takes
as long again on two cores, but can be done before, with --convert_only.
"""

import contextlib
import sys

from keras_roots.training import runs
from keras_roots.training.commands import flags
from keras_roots.training.options import option, options
from keras_roots.training.reports import performance


@options
class Performance:
    """What to measure, and where."""

    output_dir: str | None = option(None, "Folder for the results; required.")
    suite: tuple[str, ...] | None = option(
        None,
        f"Some of {','.join(performance.SUITES)}; by default all.",
        choices=performance.SUITES,
    )
    plot_only: bool = option(
        False, "Draw what the folder's CSV files hold, measure nothing."
    )
    files_dir: str | None = option(
        None,
        "Folder to keep the converted networks in (10 GB for all suites); those that "
        "are there are not converted again, whatever has changed since.",
    )
    convert_only: bool = option(False, "Fill files_dir, measure nothing.")
    quick: bool = option(
        False, "Measure little, to see that it works: times mean nothing."
    )

    def __post_init__(self):
        if not self.output_dir:
            raise ValueError("`output_dir` is required: the folder for the results")
        if self.convert_only and not self.files_dir:
            raise ValueError(
                "`convert_only` needs `files_dir`: the folder for the files"
            )


def main(given) -> None:
    """Measures, or only draws, as the flags say."""
    asked = given[Performance]
    suites = performance.choose(asked.suite)
    if asked.plot_only:
        performance.show(suites, asked.output_dir)
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.hold_directory(asked.output_dir))
        if asked.files_dir:
            stack.enter_context(runs.hold_directory(asked.files_dir, "`files_dir`"))
        _measure(asked, suites)


def _measure(asked, suites):
    """Converts and measures, in folders that are held."""
    if asked.quick:
        suites = {name: suite.quick() for name, suite in suites.items()}
    suites = {name: performance.possible(s, _progress) for name, s in suites.items()}
    if asked.convert_only:
        for suite in suites.values():
            performance.convert(suite.trials(), asked.files_dir, None, _progress)
        return
    performance.run(suites, asked.output_dir, asked.files_dir, progress=_progress)


def _progress(line):
    print(line, file=sys.stderr, flush=True)


_TITLES = (f"  {name:<10} {suite.title}" for name, suite in performance.SUITES.items())
run = flags.command(main, __doc__.format(suites="\n".join(_TITLES)), Performance)
