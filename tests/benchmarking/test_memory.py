import os
import sys

import numpy as np
import pytest

from keras_roots.benchmarking import memory as memory_module
from keras_roots.benchmarking.memory import process_memory, reset_peak

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")

_MB = 1_000_000


@linux
def test_current_and_peak_follow_what_is_allocated():
    reset_peak()
    before = process_memory()
    array = np.ones(100 * _MB, "uint8")
    during = process_memory()
    del array
    after = process_memory()
    assert 95 * _MB < during.current - before.current < 110 * _MB
    assert after.current - before.current < 10 * _MB
    assert 95 * _MB < after.peak - before.current < 110 * _MB


@linux
def test_a_peak_can_start_again():
    before = process_memory()
    np.ones(100 * _MB, "uint8")
    assert process_memory().peak - before.current > 95 * _MB
    reset_peak()
    assert process_memory().peak - before.current < 50 * _MB


@linux
def test_a_process_does_not_inherit_the_peak_of_the_one_that_started_it(run_python):
    array = np.ones(500 * _MB, "uint8")
    path = memory_module.__file__
    code = f"import runpy; print(runpy.run_path({path!r})['process_memory']().peak)"
    assert 1 * _MB < int(run_python(code)) < 100 * _MB < array.nbytes


def test_where_the_system_does_not_tell(monkeypatch):
    def missing(path, mode="r"):
        raise FileNotFoundError(path)

    monkeypatch.setattr("builtins.open", missing)
    monkeypatch.setattr(sys, "platform", "win32")
    memory = process_memory()
    reset_peak()
    monkeypatch.undo()
    assert (memory.current, memory.peak) == (None, None)


@pytest.mark.skipif(os.name != "posix", reason="the call is POSIX")
def test_macos_tells_its_peak_in_bytes(monkeypatch):
    import resource

    def missing(path, mode="r"):
        raise FileNotFoundError(path)

    class Usage:
        ru_maxrss = 123 * _MB

    monkeypatch.setattr("builtins.open", missing)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(resource, "getrusage", lambda who: Usage)
    memory = process_memory()
    monkeypatch.undo()
    assert (memory.current, memory.peak) == (None, 123 * _MB)
