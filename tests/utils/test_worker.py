import os

import pytest

from keras_roots.utils.worker import Worker

SCRIPT = """
import os, sys

def start(word, numbers):
    print("noise on standard output", flush=True)
    commands = {
        "times": lambda count: [count * number for number in numbers],
        "modules": lambda count: sorted(sys.modules),
        "end": lambda count: os._exit(count),
    }
    return {"word": word}, commands
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return str(path)


def test_commands_are_answered_one_by_one(script):
    with Worker(script, word="a b", numbers=[1, 2.5]) as worker:
        assert worker.ready == {"word": "a b"}
        assert worker.ask("times", 2) == [2, 5.0]
        assert worker.ask("times", 3) == [3, 7.5]
        os.kill(worker.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_the_process_imports_nothing_of_the_package(script):
    with Worker(script, word="", numbers=[]) as worker:
        modules = worker.ask("modules", 1)
    assert not {"keras_roots", "keras", "numpy"} & set(modules)


def test_a_process_that_ends_says_why(script):
    with pytest.raises(
        ValueError, match="(?s)for word='x' ended with status 1: .*numbers"
    ):
        Worker(script, word="x")
    with Worker(script, word="x", numbers=[]) as worker:
        with pytest.raises(ValueError, match="(?s)ended with status 1.*KeyError: 'no'"):
            worker.ask("no", 1)
        with pytest.raises(ValueError, match="ended with status 1"):
            worker.ask("times", 1)
    with Worker(script, word="x", numbers=[]) as worker:
        with pytest.raises(ValueError, match="ended with status 3"):
            worker.ask("end", 3)
