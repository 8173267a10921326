"""Timers of networks: a LiteRT file in this process, the others in one of their own."""

import contextlib
import dataclasses
import os
import tempfile
import time
from typing import Protocol

import numpy as np

from keras_roots import export, utils
from keras_roots.benchmarking import loaders, other_runtimes
from keras_roots.benchmarking.cases import Case, find_model
from keras_roots.export import in_float32, write_saved_model
from keras_roots.profiling import profile
from keras_roots.utils import Worker


@dataclasses.dataclass(frozen=True)
class Load:
    """What it takes to load and run a network in a process of its own.

    Attributes:
        load_ms: Time from opening the file to the first result, in milliseconds. The
            runtime is imported already, and the file in the system's cache.
        memory_mb: Resident memory that loading and running added at its peak, in
            megabytes (10^6 bytes), `None` where the system does not tell.
        peak_mb: Resident memory of the whole process at its peak.
    """

    load_ms: float
    memory_mb: float | None
    peak_mb: float | None


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
    path, shapes = _file(case, model, folder)
    make = _LiteRTTimer if case.runtime == "litert" else _ProcessTimer
    timer = make(case, path, shapes)
    stack.callback(timer.close)
    if model is not None:
        timer.macs = profile(model).macs
    if case.runtime != "keras":
        timer.file_size = utils.file_size(path if model is None else folder)
    return timer


def _file(case, model, folder) -> tuple[str, dict[str, tuple[int, ...]] | None]:
    """Returns what the runtime loads, and the shapes of the batches to run it on.

    Those are `None` for LiteRT's files: they are known once the file is loaded.
    """
    if model is None:
        path = os.fspath(case.target)
        if case.runtime == "litert":
            return path, None
        return path, _batches(_saved_model_shapes(path, case), case)
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
    return path, _batches(export.input_shapes(model), case)


def _batches(shapes, case) -> dict[str, tuple[int, ...]]:
    return {name: (case.batch_size, *shape) for name, shape in shapes.items()}


class _Timer:
    """Loads a network in new processes; the subclasses time it."""

    def __init__(self, case, path, shapes):
        self.macs = self.file_size = self.undelegated = None
        self._how = {
            "runtime": case.runtime,
            "path": path,
            "threads": case.threads,
            "shapes": shapes,
        }

    def load(self):
        """Loads and runs the network in a new process, which then ends."""
        with self._start() as worker:
            return Load(**worker.ready)

    def _start(self):
        return Worker(loaders.__file__, **self._how)


class _ProcessTimer(_Timer):
    """Times a network in a process of its own."""

    def __init__(self, case, path, shapes):
        super().__init__(case, path, shapes)
        self._worker = self._start()

    def time(self, count):
        """Returns the seconds that each of `count` calls takes."""
        return np.array(self._worker.ask("time", count))

    def close(self):
        """Ends the process."""
        self._worker.close()


class _LiteRTTimer(_Timer):
    """Times a LiteRT file in this process."""

    def __init__(self, case, path, shapes):
        # A file that was made of a Keras model has fixed sizes.
        known = None if shapes else case.input_shape
        self._model = model = export.LiteRTModel(
            path, case.threads, batch_size=case.batch_size, image_shape=known
        )
        shapes = {
            name: (model.batch_size, *shape)
            for name, shape in model.input_shapes.items()
        }
        super().__init__(case, path, shapes)
        self.undelegated = model.undelegated()
        model.set_input(
            {
                name: loaders.cast(loaders.random_numbers(shape), dtype)
                for (name, shape), dtype in zip(
                    shapes.items(), model.input_dtypes.values(), strict=True
                )
            }
        )

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


def _saved_model_shapes(path, case) -> dict[str, tuple[int, ...]]:
    """The shape of one sample of each input; sides that are open get those given.

    What has unsafe operations is refused here, before another process loads it.
    """
    import tensorflow as tf

    signature = utils.load_signature(path, "`target`", case.trust)
    specs = signature.structured_input_signature[1]
    given = case.input_shape
    shapes = {}
    for name, spec in specs.items():
        known = tf.TensorShape(spec.shape)
        if known.rank is not None and known[1:].is_fully_defined():
            shapes[name] = tuple(known[1:])
        elif given is not None and known.is_compatible_with((None, *given)):
            shapes[name] = tuple(given)
        else:
            raise ValueError(
                f"`input_shape` must be given for the SavedModel {path!r}, and fit "
                f"its input {name!r} of shape {spec.shape}. "
                f"Received: input_shape={given}"
            )
    return shapes
