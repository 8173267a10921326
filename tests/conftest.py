"""Fixtures for every test."""

import collections
import gc
import os
import subprocess
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Going over all objects of TensorFlow and Keras again and again, for the few that tests
# leave, took a tenth of the time.
gc.set_threshold(10_000, 10, 10)
_COUNT = "faults: "


def pytest_addoption(parser):
    parser.addoption(
        "--faults",
        type=int,
        default=32,
        help="random faults of each kind that are tried",
    )


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


@pytest.fixture(autouse=True, scope="session")
def lasting_objects():
    """Takes what is imported for good out of the collections of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def keras_settings():
    """Seeds Keras, and puts back the global settings that a test changes."""
    import keras

    policy = keras.config.dtype_policy()
    data_format = keras.config.image_data_format()
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format(data_format)


@pytest.fixture
def run_python(tmp_path):
    """Function `(code, **environment)` that runs code in a Python of its own.

    It runs in `tmp_path`; returns what it printed, and fails the test if it fails.
    """

    def run(code, **environment):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run


@pytest.fixture
def drawn(monkeypatch):
    """List of the figures that were written."""
    from matplotlib.figure import Figure

    written = []
    save = Figure.savefig

    def keep(figure, *args, **kwargs):
        written.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return written


@pytest.fixture
def faults(request):
    """How many random faults of a kind are tried, `--faults`."""
    return request.config.getoption("--faults")


@pytest.fixture
def count(record_property):
    """Function of a kind of faults and how many of it were tried and passed."""
    return lambda kind, number: record_property(f"{_COUNT}{kind}", number)
