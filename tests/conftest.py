"""Fixtures for every test."""

import gc
import os
import subprocess
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Going over all objects of TensorFlow and Keras again and again, for the few that tests
# leave, took a tenth of the time.
gc.set_threshold(10_000, 10, 10)


def pytest_addoption(parser):
    parser.addoption(
        "--faults",
        type=int,
        default=32,
        help="random faults of each kind that tests/faults tries",
    )


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
