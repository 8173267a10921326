"""Where results come from."""

import datetime
import json
import os
import shlex

import keras

from keras_roots.training import provenance


def test_a_library_call_has_no_command():
    found = provenance.describe()
    assert found["command"] is None
    assert found["hardware"].endswith(f", {os.cpu_count()} CPUs")
    assert f"keras {keras.__version__}" in found["versions"]
    assert datetime.date.fromisoformat(found["date"]) <= datetime.date.today()


# In a process of its own: absl's flags are global.
def test_the_command_of_a_binary_runs_again(run_python):
    """What was given, ready for a shell, without what is of this machine alone."""
    given = ["--root=8,4", "--nodeterministic", "--seed", "3", "--as=a b"]
    code = f"""
import json, sys
from absl import flags
from keras_roots.training import flags as shared
from keras_roots.training import provenance

def main(argv):
    print(json.dumps(provenance.describe()))

main.__module__ = "keras_roots.training.train_twice"
shared.define("root", "data_dir", "seed", "deterministic")
flags.DEFINE_string("as", None, "A name.")
sys.argv = ["anything", "--data_dir=/data", *{given!r}]
shared.launch(main, "", ["root", "data_dir", "seed", "deterministic", "as"])
"""
    command = json.loads(run_python(code))["command"]
    assert shlex.split(command) == [
        "keras-roots-train-twice",
        "--root=8,4",
        "--seed=3",
        "--nodeterministic",
        "--as=a b",
    ]
