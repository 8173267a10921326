"""Damaged exports: opened, or refused in one line that names the file.

LiteRT and TensorFlow read them in C++, which may crash on what their own checks let
pass; each is opened in a child, and crashes are counted.
"""

import json
import subprocess
import sys

import attempts
import pytest

import keras_roots


@pytest.fixture
def exported(tmp_path, request):
    """A small network, exported."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras_roots.layers.GroupedConv2D(8, 3, groups=2, padding="same"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )
    if request.param == "saved_model":
        keras_roots.export_saved_model(model, tmp_path / "net", lowering="split")
        return request.param, tmp_path / "net"
    keras_roots.export_tflite(model, tmp_path / "net.tflite")
    return request.param, tmp_path / "net.tflite"


@pytest.mark.skipif(sys.platform != "linux", reason="needs forked children")
@pytest.mark.parametrize("exported", attempts.OPENERS, indirect=True)
def test_damaged_exports(exported, faults, count):
    kind, path = exported
    done = subprocess.run(
        [sys.executable, attempts.__file__, kind, str(path), str(faults)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for name in ("opened", "refused", "crashed"):
        count(f"damaged exports: {kind}, {name}", found.pop(name, 0))
    assert not found
