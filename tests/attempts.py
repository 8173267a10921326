"""Damaged LiteRT files and SavedModels, each opened in a child: a crash is counted.

`python attempts.py litert|saved_model PATH NUMBER` prints how many ended how, as JSON.
"""

import collections
import json
import os
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import damages
import numpy as np

import keras_roots
from keras_roots import export, utils
from keras_roots.training import evaluation


def open_litert(path):
    model = export.LiteRTModel(path)
    model.predict(np.zeros((1, *model.image_shape), "float32"))


def open_saved_model(path):
    loaded = utils.load_saved_model(path)
    serve = loaded.signatures["serving_default"]
    ((name, spec),) = serve.structured_input_signature[1].items()
    serve(**{name: np.zeros((1, *spec.shape[1:]), "float32")})


OPENERS = {
    "litert": (
        open_litert,
        export.read_operations,
        lambda path: keras_roots.benchmark(path, runs=1, warmup=0),
        evaluation.load_predictor,
    ),
    "saved_model": (open_saved_model,),
}


def outcome(opener, path) -> str:
    """Returns how a call of an opener with a path ended, in a child."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(60)  # one that hangs
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            opener(path)
            text = "opened"
        except ValueError as error:
            named = str(path) in str(error) and "\n" not in str(error)
            text = "refused" if named else f"not named: {error!r}"
        except BaseException as error:
            text = f"not named: {error!r}"
        os.write(write, text.encode()[:500])
        os._exit(0)
    os.close(write)
    with open(read, errors="replace") as file:
        text = file.read()
    return "crashed" if os.waitpid(child, 0)[1] else text


def main(kind, whole, number):
    warnings.simplefilter("ignore")
    export.require_litert()
    rng, found = np.random.default_rng(0), collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(whole).name)
        copy = shutil.copytree if os.path.isdir(whole) else shutil.copyfile
        copy(whole, path)
        files = [path] if path.is_file() else sorted(path.rglob("*.*"))
        for _ in range(int(number)):
            file = files[int(rng.integers(len(files)))]
            content = file.read_bytes()
            file.write_bytes(damages.damaged(content, rng))
            opener = OPENERS[kind][int(rng.integers(len(OPENERS[kind])))]
            found[outcome(opener, str(path))] += 1
            file.write_bytes(content)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
