import os

import helpers
import pytest

from keras_roots.benchmarking import litert_interface
from keras_roots.export import flatbuffer
from keras_roots.utils import Worker


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(flatbuffer.convert(helpers.grouped()))
    return str(path)


def test_calls_are_timed_and_summarised(file):
    with Worker(litert_interface.__file__, file=file, threads=1) as worker:
        assert worker.ready is None
        times = worker.ask("time", 3)
        assert len(times) == 3 and min(times) > 0
        summaries = worker.ask("profile", 2)
    assert len(summaries) == 2
    for text in summaries:
        assert "Run Order" in text and "Delegate/Convolution (" in text


def test_a_file_that_litert_refuses(tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match="(?s)CreateModelFromFile failed with status"):
        Worker(litert_interface.__file__, file=str(path), threads=1)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts on Linux")
def test_threads_are_used(file):
    counts = []
    for threads in (1, 3):
        with Worker(litert_interface.__file__, file=file, threads=threads) as worker:
            worker.ask("time", 1)
            counts.append(len(os.listdir(f"/proc/{worker.pid}/task")))
    assert counts[1] == counts[0] + 2
