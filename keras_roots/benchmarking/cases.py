"""What can be measured, and how it runs."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

import keras

from keras_roots import export, graph
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
        input_shape: Shape of one image, where the target leaves sides open; of a Keras
            model of several inputs a list of shapes, one for every input.
        quantize: Quantisation of a Keras model, as for `export_tflite`; other runtimes
            have fewer, see `QUANTIZATIONS`. int8 is calibrated on random pixels, which
            its speed does not depend on.
        optimize: Rewrites of a Keras model for LiteRT, as for `export_tflite`.
        label: Name for the results, if not that given to `compare`.
        trust: Whether a SavedModel may have operations that write files, use the
            network or call other code.
    """

    target: keras.Model | str | os.PathLike
    runtime: str = "litert"
    threads: int = 1
    batch_size: int = 1
    input_shape: Sequence[int] | None = None
    quantize: str | None = None
    optimize: str | Sequence[str] | None = None
    label: str | None = None
    trust: bool = False

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
    image_size: int | None = None,
    trust: bool = False,
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
        image_size: Height and width of the images, of three channels where a file does
            not tell; what has another size is refused when it is measured.
        trust: As for `Case`.

    Raises:
        ValueError: A target, runtime or quantisation is none.
    """
    checks.choices("runtimes", runtimes, RUNTIMES)
    checks.choices("quantize", quantize, export.QUANTIZATIONS)
    threads = checks.integers("threads", threads)
    batch_sizes = checks.integers("batch_sizes", batch_sizes)
    if image_size is not None:
        image_size = checks.integer("image_size", image_size)
    checks.boolean("trust", trust)
    optimize = checks.collection("optimize", optimize, "a tuple of rewrites")
    for rewrite in optimize:
        export.rewrite_names(rewrite, "float32")
    models = checks.collection("models", models, "Keras models", empty=True)
    paths = checks.collection("paths", paths, "paths of files", empty=True)
    for model in models:
        checks.instance("models", model, keras.Model, "Keras models")
    for path in paths:
        checks.path("paths", path, required=True)
    targets = [(model.name, model) for model in models]
    targets += [(os.path.basename(os.path.normpath(path)), path) for path in paths]
    cases = [
        Case(target, threads=count, batch_size=size, **named, **shape, **way)
        for label, target in targets
        for named in [{"label": label, "trust": trust}]
        for shape in [_input_shape(target, image_size)]
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


def _input_shape(target, image_size) -> dict:
    """Returns the argument of a case for square images of one size, if there is one."""
    if image_size is None:
        return {}
    known = [(None, None, None)]  # of a file
    if isinstance(target, keras.Model) and target.inputs:
        known = [tuple(tensor.shape[1:]) for tensor in target.inputs]
    shapes = [_image_shape(shape, image_size) for shape in known]
    return {"input_shape": shapes if len(shapes) > 1 else shapes[0]}


def _image_shape(shape, size) -> tuple[int | None, ...]:
    """Returns the shape of square images of one size; other shapes as they are."""
    if len(shape) != 3:
        return shape
    if keras.config.image_data_format() == "channels_last":
        return (size, size, shape[-1] or 3)
    return (shape[0] or 3, size, size)


def named_cases(targets) -> dict[str, Case]:
    """Returns a `Case` for each of several targets, by name.

    Args:
        targets: By name, a `Case`, or a target for a `Case` with its defaults.

    Raises:
        ValueError: It is no dictionary of such, holds none, or an argument of a case is
            impossible or does not fit its target.
        FileNotFoundError: There is no such file.
    """
    named = isinstance(targets, Mapping) and all(isinstance(x, str) for x in targets)
    if not named or not targets:
        raise ValueError(
            "`targets` must hold a network or more: a dictionary of models, paths or "
            f"cases by name. Received: targets={targets!r}"
        )
    cases = {
        name: target if isinstance(target, Case) else Case(target)
        for name, target in targets.items()
    }
    for case in cases.values():
        check_case(case)
    return cases


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
    checks.boolean("trust", case.trust)
    if case.label is not None:
        checks.text("label", case.label, empty=False)
    converts = kind in _KERAS
    _check_input_shape(case.input_shape, converts)
    quantizations = QUANTIZATIONS[case.runtime] if converts else (None,)
    known = isinstance(case.quantize, str | None) and case.quantize in quantizations
    if not known:
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


def _check_input_shape(shape, several):
    each = shape if several and _is_listed(shape) and _are_listed(shape) else [shape]
    if shape is None or all(map(_is_shape, each)):
        return
    more = " (of several inputs a list of shapes)" if several else ""
    raise ValueError(
        f"`input_shape` must be the shape of one input{more}, positive integers such "
        f"as (224, 224, 3), or None. Received: input_shape={shape!r}"
    )


def _is_shape(shape) -> bool:
    if not _is_listed(shape) or not shape:
        return False
    return all(checks.is_integer(side) and side > 0 for side in shape)


def _is_listed(values) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str | bytes)


def _are_listed(shapes) -> bool:
    return len(shapes) > 0 and all(map(_is_listed, shapes))


def find_model(case: Case) -> keras.Model | None:
    """Returns the Keras model that a case is about, for inputs of one size.

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
    export.input_shapes(model)
    return model


def _sized(model, input_shape):
    """Returns a model whose inputs have one size: itself, or a copy."""
    graph.check_built(model)
    wanted = graph.symbolic_inputs(model, input_shape)
    known = [tensor.shape for tensor in model.inputs]
    if known == [tensor.shape for tensor in wanted]:
        return model
    inputs = [
        keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=own.name)
        for tensor, own in zip(wanted, model.inputs, strict=True)
    ]
    sized = keras.models.clone_model(model, input_tensors=export.packed(model, inputs))
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
    _check_target(target)
    path = os.fspath(target)
    if not os.path.exists(path):
        raise FileNotFoundError(f"`target` is missing: no file {path!r} to benchmark")
    if os.path.isdir(path):
        return "a SavedModel"
    return "a .keras file" if path.endswith(".keras") else "a .tflite file"


def _check_target(target):
    is_path = isinstance(target, str | os.PathLike) and os.fspath(target)
    if not isinstance(target, keras.Model) and not is_path:
        raise ValueError(
            "`target` must be a Keras model, or the path of a .tflite file, a .keras "
            f"file or a SavedModel. Received: target={target!r}"
        )
