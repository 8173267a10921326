"""Timers of networks: a LiteRT file in this process, TensorFlow in one of its own."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Protocol

import keras
import numpy as np

from keras_roots import files
from keras_roots.export import check, images, litert, rewrites, runner
from keras_roots.profiling import profile

RUNTIMES = ("litert", "tensorflow", "keras")


@dataclasses.dataclass(frozen=True)
class Case:
    """What to measure, and how it runs.

    Attributes:
        target: A Keras model, or the path of a `.tflite` file, a `.keras` file or a
            SavedModel.
        runtime: `"litert"`: the file, or the model converted to one, with XNNPACK;
            `"tensorflow"`: the signature of the SavedModel, or of the model exported
            to one; `"keras"`: `predict_on_batch` of the model, on TensorFlow.
        threads: Number of threads. TensorFlow gets a process of its own for each case,
            since it fixes its threads when it starts.
        batch_size: Images per call.
        input_shape: Shape of one image, where the target leaves sides open.
        quantize: Quantisation of a Keras model for LiteRT, as for `export_tflite`;
            int8 is calibrated on random pixels, which its speed does not depend on.
        optimize: Rewrites of a Keras model for LiteRT, as for `export_tflite`.
        label: Name for the results, if not that given to `compare`.
    """

    target: keras.Model | str | os.PathLike
    runtime: str = "litert"
    threads: int = 1
    batch_size: int = 1
    input_shape: tuple[int, int, int] | None = None
    quantize: str | None = None
    optimize: str | Sequence[str] | None = None
    label: str | None = None


class Timer(Protocol):
    """Times calls of a network.

    Attributes:
        macs: Multiply-adds per image, `None` if the target is no Keras model.
        file_size: Bytes of the file or SavedModel, `None` for `runtime="keras"`.
    """

    macs: int | None
    file_size: int | None

    def time(self, count: int) -> np.ndarray:
        """Returns the seconds that each of `count` calls takes."""


def check_case(case: Case) -> None:
    """Checks that a case can be measured, before anything is built for it.

    Raises:
        ValueError: An argument is impossible or does not fit the target.
        FileNotFoundError: There is no such file.
    """
    kind = _kind(case.target)
    if case.runtime not in RUNTIMES:
        raise ValueError(
            f"`runtime` must be one of {RUNTIMES}. Received: runtime={case.runtime!r}"
        )
    if case.runtime not in _RUNS_ON[kind]:
        raise ValueError(
            f"`runtime` must be one of {_RUNS_ON[kind]} for {kind}. Received: "
            f"runtime={case.runtime!r}, target={case.target!r}"
        )
    for name in ("threads", "batch_size"):
        value = getattr(case, name)
        if not isinstance(value, int) or value < 1:
            raise ValueError(
                f"`{name}` must be a positive integer. Received: {name}={value!r}"
            )
    if case.quantize not in litert.QUANTIZATIONS:
        raise ValueError(
            f"`quantize` must be one of {list(litert.QUANTIZATIONS)}. "
            f"Received: quantize={case.quantize!r}"
        )
    converts = case.runtime == "litert" and kind != "a .tflite file"
    rewrites.names(case.optimize, litert.QUANTIZATIONS[case.quantize][1])
    if not converts and (case.quantize or case.optimize):
        raise ValueError(
            "`quantize` and `optimize` are for Keras models with runtime='litert'. "
            f"Received: quantize={case.quantize!r}, optimize={case.optimize!r}, "
            f"runtime={case.runtime!r}, target={case.target!r}"
        )
    if kind != "a .tflite file":
        check.require_tensorflow()


def make_timer(case: Case, stack: contextlib.ExitStack) -> Timer:
    """Loads what a case is about, and returns what times it.

    Args:
        case: What to time.
        stack: Closes the timer's process and removes its files at the end.
    """
    kind = _kind(case.target)
    model, path = None, case.target
    if kind in ("a Keras model", "a .keras file"):
        model = case.target
        if kind == "a .keras file":
            model = keras.saving.load_model(path, compile=False)
        if case.input_shape is not None:
            model = _sized(model, case.input_shape)
        images.image_shape(model)
    if case.runtime == "litert":
        return _LiteRTTimer(case, model)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    if model is not None and case.runtime == "tensorflow":
        path = os.path.join(folder, "saved_model")
        model.export(path, verbose=False)
    elif model is not None:
        path = os.path.join(folder, "model.keras")
        model.save(path)
    timer = _WorkerTimer(case, model, path, folder)
    stack.callback(timer.close)
    timer.start()
    return timer


def _sized(model, shape):
    """Returns a copy of a model whose images have one size."""
    known = model.inputs[0].shape[1:]
    if len(shape) != len(known) or any(
        side not in (None, given) for side, given in zip(known, shape, strict=True)
    ):
        raise ValueError(
            f"`input_shape` must fit the model's, {known}. "
            f"Received: input_shape={shape}"
        )
    sized = keras.models.clone_model(model, input_tensors=keras.Input(shape))
    sized.set_weights(model.get_weights())
    return sized


# What each kind of target can run on.
_RUNS_ON = {
    "a Keras model": RUNTIMES,
    "a .keras file": RUNTIMES,
    "a .tflite file": ("litert",),
    "a SavedModel": ("tensorflow",),
}


def _kind(target) -> str:
    if isinstance(target, keras.Model):
        return "a Keras model"
    path = os.fspath(target)
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file to benchmark at {path!r}")
    if os.path.isdir(path):
        return "a SavedModel"
    return "a .keras file" if path.endswith(".keras") else "a .tflite file"


class _LiteRTTimer:
    """Times a LiteRT file in this process."""

    def __init__(self, case, model):
        self.macs = _macs(model)
        if model is None:
            content = os.fspath(case.target)
            self.file_size = os.path.getsize(content)
        else:
            content = _converted(case, model)
            self.file_size = len(content)
        self._model = runner.LiteRTModel(
            content,
            case.threads,
            batch_size=case.batch_size,
            image_shape=case.input_shape,
        )
        shape = (self._model.batch_size, *self._model.image_shape)
        pixels = np.random.default_rng(0).integers(0, 256, shape)
        self._model.set_input(pixels.astype("float32"))

    def time(self, count):
        """Returns the seconds that each of `count` calls takes."""
        times = np.empty(count)
        for call in range(count):
            start = time.perf_counter()
            self._model.invoke()
            times[call] = time.perf_counter() - start
        return times


def _converted(case, model) -> bytes:
    dtype = litert.QUANTIZATIONS[case.quantize][1]
    return litert.convert(
        rewrites.rewrite(model, case.optimize, dtype)[0],
        quantize=case.quantize,
        calibration_images=images.random_images(model, 4),
        batch_size=case.batch_size,
    )


class _WorkerTimer:
    """Times a network in a TensorFlow process of its own."""

    def __init__(self, case, model, path, folder):
        self.macs = _macs(model)
        self.file_size = files.size(path) if case.runtime == "tensorflow" else None
        shape = case.input_shape or (model and images.image_shape(model))
        self._command = [
            *(sys.executable, "-m", "keras_roots.timer_process", case.runtime),
            *(os.fspath(path), str(case.threads)),
            json.dumps([case.batch_size, *(shape or _saved_model_shape(path))]),
        ]
        self._log = os.path.join(folder, "log")
        self._process = None

    def start(self):
        """Starts the process, and waits until it has loaded the network."""
        with open(self._log, "w") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
        self._answer()

    def time(self, count):
        """Returns the seconds that each of `count` calls takes."""
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return np.array(self._answer())

    def close(self):
        """Ends the process."""
        if self._process is not None:
            self._process.communicate()

    def _answer(self):
        answer = self._process.stdout.readline()
        if not answer:
            with open(self._log) as log:
                reason = log.read().strip().splitlines()[-5:]
            raise ValueError(
                "The TensorFlow process that times the network ended: "
                + "\n".join(reason)
            )
        return json.loads(answer)


def _saved_model_shape(path):
    import tensorflow as tf

    try:
        signature = tf.saved_model.load(path).signatures["serving_default"]
        (spec,) = signature.structured_input_signature[1].values()
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{os.fspath(path)!r} is no SavedModel with a signature 'serving_default' "
            f"of one input: {error}"
        ) from error
    if len(spec.shape) != 4 or None in spec.shape[1:]:
        raise ValueError(
            f"`input_shape` must be given for the SavedModel {os.fspath(path)!r}, "
            f"whose input has the shape {spec.shape}. Received: input_shape=None"
        )
    return spec.shape[1:]


def _macs(model) -> int | None:
    return None if model is None else profile(model).macs
