"""What can be measured, and how it runs."""

import dataclasses
import os
from collections.abc import Iterable, Sequence

import keras

from keras_roots import export
from keras_roots.benchmarking import other_runtimes
from keras_roots.utils import checks, load_model

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
            have fewer, see `QUANTIZATIONS`. int8 is calibrated on random pixels, which
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


def make_cases(
    models: Iterable[keras.Model],
    paths: Iterable[str | os.PathLike],
    *,
    runtimes: Sequence[str] = ("litert",),
    quantize: Sequence[str | None] = (None,),
    threads: Sequence[int] = (1,),
    batch_sizes: Sequence[int] = (1,),
    optimize: Sequence[str | None] = (None,),
) -> dict[str, Case]:
    """Returns every combination that can be measured, by a name of its own.

    Models run on every runtime, a `.keras` file too, a `.tflite` file on LiteRT and a
    SavedModel on TensorFlow. Only models and `.keras` files are quantised, where the
    runtime can.

    Args:
        models: Keras models.
        paths: Paths of files.
        runtimes: Runtimes of models and `.keras` files.
        quantize: Quantisations of models and `.keras` files; left out for a runtime
            that does not have it.
        threads: Numbers of threads.
        batch_sizes: Numbers of images per call.
        optimize: Rewrites of models and `.keras` files on LiteRT, one for each case.
    """
    targets = [(model.name, model) for model in models]
    targets += [(os.path.basename(os.path.normpath(path)), path) for path in paths]
    cases = [
        Case(target, threads=count, batch_size=size, label=label, **way)
        for label, target in targets
        for way in _ways(target, runtimes, quantize, optimize)
        for count in threads
        for size in batch_sizes
    ]
    return {str(index): case for index, case in enumerate(cases)}


def _ways(target, runtimes, quantize, optimize) -> list[dict]:
    """Returns the runtimes, quantisations and rewrites that a target can have."""
    if not isinstance(target, keras.Model) and not str(target).endswith(".keras"):
        return [{"runtime": "tensorflow" if os.path.isdir(target) else "litert"}]
    return [
        {"runtime": runtime, "quantize": kind, "optimize": rewrite}
        for runtime in runtimes
        for kind in quantize
        if kind in QUANTIZATIONS[runtime]
        for rewrite in (optimize if runtime == "litert" else (None,))
    ]


def check_case(case: Case) -> None:
    """Checks that a case can be measured, before anything is built for it.

    Raises:
        ValueError: An argument is impossible or does not fit the target.
        FileNotFoundError: There is no such file.
    """
    kind = _kind(case.target)
    checks.choice("runtime", case.runtime, RUNTIMES)
    if case.runtime not in _RUNS_ON[kind]:
        raise ValueError(
            f"`runtime` must be one of {_RUNS_ON[kind]} for {kind}. Received: "
            f"runtime={case.runtime!r}, target={case.target!r}"
        )
    checks.integer("threads", case.threads)
    checks.integer("batch_size", case.batch_size)
    converts = kind in _KERAS
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


def find_model(case: Case) -> keras.Model | None:
    """Returns the Keras model that a case is about, for images of one size.

    Args:
        case: What to time; of files only those of Keras hold a model.

    Raises:
        ValueError: The file is damaged, or `input_shape` must be given or does not fit.
        FileNotFoundError: There is no such file.
    """
    kind, model = _kind(case.target), case.target
    if kind not in _KERAS:
        return None
    if kind == "a .keras file":
        model = load_model(model, "`target`")
    if case.input_shape is not None:
        model = _sized(model, case.input_shape)
    export.image_shape(model)
    return model


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


_KERAS = ("a Keras model", "a .keras file")
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
