"""Timers of networks: a LiteRT file in this process, the others in one of their own."""

import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Sequence
from typing import Protocol

import keras
import numpy as np

from keras_roots import export, utils
from keras_roots.benchmarking import other_runtimes
from keras_roots.benchmarking.runtime_process import Load, RuntimeProcess
from keras_roots.export import in_float32, write_saved_model
from keras_roots.profiling import profile
from keras_roots.utils import load_model

# How each runtime can quantise a Keras model.
QUANTIZATIONS = {
    "litert": tuple(export.QUANTIZATIONS),
    **dict.fromkeys(other_runtimes.RUNTIMES, other_runtimes.QUANTIZATIONS),
    "tensorflow": (None,),
    "keras": (None,),
}
RUNTIMES = tuple(QUANTIZATIONS)


@dataclasses.dataclass(frozen=True)
class Case:
    """What to measure, and how it runs.

    Attributes:
        target: A Keras model, or the path of a `.tflite` file, a `.keras` file or a
            SavedModel.
        runtime: `"litert"`: the file, or the model converted to one, with XNNPACK;
            `"onnxruntime"`, `"openvino"`: the model converted for it, and compared with
            the model; `"tensorflow"`: the signature of the SavedModel, or of the model
            exported to one; `"keras"`: `predict_on_batch` of the model, on TensorFlow.
        threads: Number of threads. All but LiteRT get a process of their own for each
            case: TensorFlow fixes its threads when it starts.
        batch_size: Images per call.
        input_shape: Shape of one image, where the target leaves sides open.
        quantize: Quantisation of a Keras model, as for `export_tflite`; other runtimes
            know fewer, see `QUANTIZATIONS`. int8 is calibrated on random pixels, which
            its speed does not depend on.
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

    @property
    def rewrites(self) -> str | None:
        """`optimize` as one text."""
        if self.optimize is None or isinstance(self.optimize, str):
            return self.optimize
        return ",".join(self.optimize)


class Timer(Protocol):
    """Times calls of a network.

    Attributes:
        macs: Multiply-adds per image, `None` if the target is no Keras model.
        file_size: Bytes of the file or SavedModel, `None` for `runtime="keras"`.
        undelegated: How often LiteRT's CPU delegate leaves each operation to slower
            kernels, `None` for other runtimes.
    """

    macs: int | None
    file_size: int | None
    undelegated: dict[str, int] | None

    def time(self, count: int) -> np.ndarray:
        """Returns the seconds that each of `count` calls takes."""

    def load(self) -> Load:
        """Loads and runs the network in a new process, which then ends."""


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
    converts = kind in ("a Keras model", "a .keras file")
    quantizations = QUANTIZATIONS[case.runtime] if converts else (None,)
    if case.quantize not in quantizations:
        raise ValueError(
            f"`quantize` must be one of {list(quantizations)} for {kind} with "
            f"runtime={case.runtime!r}. Received: quantize={case.quantize!r}"
        )
    export.rewrite_names(case.optimize, export.QUANTIZATIONS[case.quantize][1])
    if case.optimize and not (converts and case.runtime == "litert"):
        raise ValueError(
            "`optimize` is for Keras models with runtime='litert'. Received: "
            f"optimize={case.optimize!r}, runtime={case.runtime!r}, "
            f"target={case.target!r}"
        )
    if kind != "a .tflite file":
        export.require_tensorflow()
    if case.runtime in other_runtimes.RUNTIMES:
        other_runtimes.require(case.runtime)


def make_timer(case: Case, stack: contextlib.ExitStack) -> Timer:
    """Loads what a case is about, and returns what times it.

    Args:
        case: What to time.
        stack: Closes the timer's process and removes its files at the end.
    """
    model = find_model(case)
    folder = stack.enter_context(
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    )
    path, shape = _file(case, model, folder)
    make = _LiteRTTimer if case.runtime == "litert" else _ProcessTimer
    timer = make(case, path, shape)
    stack.callback(timer.close)
    if model is not None:
        timer.macs = profile(model).macs
    if case.runtime != "keras":
        timer.file_size = utils.file_size(path if model is None else folder)
    return timer


def find_model(case: Case) -> keras.Model | None:
    """Returns the Keras model that a case is about, for images of one size.

    Args:
        case: What to time; of files only those of Keras hold a model.

    Raises:
        ValueError: The file is damaged, or `input_shape` must be given or does not fit.
        FileNotFoundError: There is no such file.
    """
    kind, model = _kind(case.target), case.target
    if kind not in ("a Keras model", "a .keras file"):
        return None
    if kind == "a .keras file":
        model = load_model(model, "`target`")
    if case.input_shape is not None:
        model = _sized(model, case.input_shape)
    export.image_shape(model)
    return model


def _file(case, model, folder) -> tuple[str, tuple[int, ...] | None]:
    """Returns what the runtime loads, and the shape of the batch to run it on.

    The shape is `None` for LiteRT's files, which tell it once they are loaded.
    """
    if model is None:
        path = os.fspath(case.target)
        if case.runtime == "litert":
            return path, None
        shape = case.input_shape or _saved_model_shape(path)
        return path, (case.batch_size, *shape)
    if case.runtime in other_runtimes.RUNTIMES:
        return other_runtimes.write(
            model, folder, case.runtime, case.quantize, case.batch_size
        )
    path = os.path.join(folder, "model.keras" if case.runtime == "keras" else "model")
    if case.runtime == "keras":
        model.save(path)
    elif case.runtime == "tensorflow":
        write_saved_model(in_float32(model), path, "auto")
    else:
        export.write_for_timing(
            model, path, case.quantize, case.optimize, case.batch_size
        )
    return path, (case.batch_size, *export.image_shape(model))


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


class _Timer:
    """Loads a network in new processes; what times it comes in the subclasses."""

    def __init__(self, case, path, shape):
        self.macs = self.file_size = self.undelegated = None
        self._how = case.runtime, path, case.threads, shape

    def load(self):
        """Loads and runs the network in a new process, which then ends."""
        with contextlib.closing(RuntimeProcess(*self._how)) as process:
            return process.load


class _ProcessTimer(_Timer):
    """Times a network in a process of its own."""

    def __init__(self, case, path, shape):
        super().__init__(case, path, shape)
        self._process = RuntimeProcess(*self._how)

    def time(self, count):
        """Returns the seconds that each of `count` calls takes."""
        return np.array(self._process.time(count))

    def close(self):
        """Ends the process."""
        self._process.close()


class _LiteRTTimer(_Timer):
    """Times a LiteRT file in this process."""

    def __init__(self, case, path, shape):
        self._model = export.LiteRTModel(
            path,
            case.threads,
            batch_size=case.batch_size,
            image_shape=case.input_shape,
        )
        shape = (self._model.batch_size, *self._model.image_shape)
        super().__init__(case, path, shape)
        self.undelegated = self._model.undelegated()
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

    def close(self):
        """Does nothing: no process is at work."""


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
