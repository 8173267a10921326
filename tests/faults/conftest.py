"""Counts of the campaign, which are printed at the end of a run."""

import collections
import os
import sys

import pytest

_COUNT = "faults: "


@pytest.fixture
def faults(request):
    """How many random faults of a kind are tried, `--faults`."""
    return request.config.getoption("--faults")


@pytest.fixture
def count(record_property):
    """Function of a kind of faults and how many of it were tried and passed."""
    return lambda kind, number: record_property(f"{_COUNT}{kind}", number)


def pytest_terminal_summary(terminalreporter):
    totals = collections.Counter()
    for report in terminalreporter.stats.get("passed", ()):
        for name, number in report.user_properties:
            if name.startswith(_COUNT):
                totals[name.removeprefix(_COUNT)] += number
    if not totals:
        return
    terminalreporter.section("faults that lost nothing and were not silent")
    for kind, number in totals.items():
        terminalreporter.write_line(f"{number:8,}  {kind}")
    if os.name != "nt":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak /= 2**20 if sys.platform == "darwin" else 2**10
        terminalreporter.write_line(f"{peak:8,.0f}  MB of memory at most")
