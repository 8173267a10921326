"""One call from a trained network to a cheaper one and its LiteRT file."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import benchmarking, convolutions, graph, utils
from keras_roots.compression.fidelity import fidelity, file_outputs, keras_outputs
from keras_roots.compression.meet_budget import (
    QUANTIZATIONS,
    export_bytes,
    meet_budget,
)
from keras_roots.compression.options import WAYS
from keras_roots.compression.plan import COSTS, CompressionPlan
from keras_roots.compression.planner import plan_compression
from keras_roots.convolutions import Layers
from keras_roots.profiling import profile
from keras_roots.utils import checks, format_rows

_AUTO = "auto"
_RUNS = 200  # timed calls of each file
_SHOWN = 300  # characters of another's message
_COLUMNS = {
    "name": "{}",
    "quantize": "{}",
    "agreement": "{:.2%}",
    "error": "{:.2%}",
    "macs": "{:,}",
    "params": "{:,}",
    "bytes": "{:,}",
    "ms": "{:.3f}",
    "ratio": "{:.3f}",
}


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A network that was made cheaper; prints as a table.

    Attributes:
        model: The network, in float32.
        plan: Its groups and ranks; `None` where quantising alone was enough.
        quantize: How its file is quantised: `None` or `"int8"`.
        tflite: Content of its LiteRT file.
        rows: A row of the original's float32 file and one of the compressed file:
            `name`, `quantize`; `agreement`, the part of held-out images of the same
            class as by the original, `None` where the network does not return
            `(n, classes)`; `error`, the relative squared error of the outputs; `macs`,
            `params`, `bytes`, `ms`, and `ratio` to the time of the original.
    """

    model: keras.Model
    plan: CompressionPlan | None = dataclasses.field(repr=False)
    quantize: str | None
    tflite: bytes = dataclasses.field(repr=False)
    rows: tuple[dict, ...]

    @property
    def ratio(self) -> float:
        """Measured time over that of the original's float32 file."""
        return self.rows[-1]["ratio"]

    @property
    def agreement(self) -> float | None:
        """Part of the held-out images of the same class as by the original."""
        return self.rows[-1]["agreement"]

    def __str__(self) -> str:
        return format_rows(self.rows, _COLUMNS, left=2)


def compress(
    model: keras.Model,
    images: np.ndarray,
    budget: float = 0.25,
    cost: str = "latency",
    *,
    quantize: str | None = _AUTO,
    ways: Sequence[str] = WAYS,
    layers: Layers = None,
    finetune: Callable[[keras.Model, keras.Model], keras.Model] | None = None,
    threads: int = 1,
    latency_table: str | os.PathLike | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Compressed:
    """Makes a trained network of any task cheaper, within a part of its cost.

    Convolutions get filter groups (Deep Roots, CVPR 2017) or lower ranks (Coordinating
    Filters, ICCV 2017), layer by layer, chosen for what they lose of the layers'
    responses over what they cost. Of a budget of time, the whole network is measured in
    LiteRT on this machine, and its file is float32 or int8, whichever is nearer to the
    original within the budget. No labels are needed: kernels are fitted to the
    responses of the layers before, and BatchNormalization's statistics are estimated
    anew. Training is the caller's: `finetune`.

    Args:
        model: A functional or Sequential model that takes one batch of images of a
            fixed size. It stays as it is.
        images: Sample images `(n, height, width, channels)`, as the model takes them, a
            few hundred of the training set; a fifth of them, at most 500, is held out
            to compare files on.
        budget: Part of the cost that the network may keep, between 0 and 1.
        cost: `"latency"`, the time of the model's float32 LiteRT file, or `"macs"`, its
            multiply-adds.
        quantize: How the file is quantised: `None`, `"int8"`, or `"auto"` to choose;
            that is `None` with `cost="macs"`.
        ways: What layers may get: `"groups"`, `"rank"`.
        layers: Which convolutions may change: names, a function of the layer,
            `"pointwise"`, `"spatial"` or `None` for all.
        finetune: Function of the cheaper network and the original, student and teacher,
            that returns the trained network; `None` to train nothing.
        threads: Threads that times are of.
        latency_table: CSV file of measured times of layers, which need not exist.
        seed: Seed of everything random.
        say: Called with a line of text after each step.

    Returns:
        A `Compressed`: `.model`, `.tflite`, `.ratio`, `.agreement`; it prints as a
        table.

    Raises:
        ValueError: An argument is impossible, or the budget cannot be met: the message
            says what can.
        ImportError: LiteRT or TensorFlow is not installed.

    Example:
        >>> small = keras_roots.compress(model, images, budget=0.25)
        >>> open("small.tflite", "wb").write(small.tflite)
    """
    budget = checks.part("budget", budget)
    checks.choice("cost", cost, COSTS)
    checks.choice("quantize", quantize, (_AUTO, *QUANTIZATIONS))
    checks.choices("ways", ways, WAYS)
    threads = checks.integer("threads", threads)
    checks.path("latency_table", latency_table)
    checks.integer("seed", seed, least=0)
    if finetune is not None and not callable(finetune):
        raise ValueError(
            "`finetune` must be a function of student and teacher, or None. "
            f"Received: finetune={finetune!r}"
        )
    _check_model(model)
    fitted, held_out = convolutions.Samples.of(model, images).split(seed)
    how = {"ways": ways, "layers": layers, "seed": seed}
    if cost == "latency":
        met = meet_budget(
            model,
            fitted,
            budget,
            quantize=QUANTIZATIONS if quantize == _AUTO else (quantize,),
            threads=threads,
            latency_table=latency_table,
            held_out=held_out,
            say=say,
            **how,
        )
        small, plan, quantize = met.model, met.plan, met.quantize
    else:
        quantize = None if quantize == _AUTO else quantize
        plan = plan_compression(model, fitted, budget, cost="macs", **how)
        say(f"multiply-adds: {plan.part:.3f}")
        small = plan.apply()
    if finetune is not None:
        if small is model:  # the teacher stays as it is
            small = graph.rewrite(model, lambda layer: None)
        small = _check_finetuned(finetune(small, model), model)
    files = {
        "original": (model, None, export_bytes(model, None, fitted.inputs)),
        "compressed": (small, quantize, export_bytes(small, quantize, fitted.inputs)),
    }
    rows = _measure(files, keras_outputs(model, held_out), held_out, threads)
    return Compressed(small, plan, quantize, files["compressed"][2], rows)


def check_saved(model: keras.Model) -> None:
    """Checks that Keras saves and loads a model.

    Args:
        model: The model.

    Raises:
        ValueError: It does not; the message says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        try:
            model.save(path)
            utils.load_model(path)
        except Exception as error:
            # Keras quotes whole configurations, and then what went wrong with them.
            reason = str(error.__cause__ or error)
            reason = reason.rpartition("Exception encountered: ")[2][:_SHOWN]
            raise ValueError(
                "`model` must be one that Keras saves and loads: register layers and "
                "functions of yours with keras.saving.register_keras_serializable, "
                "and let a layer take the place of a Lambda with a lambda in it. "
                f"Received: model={model.name!r}, of which loading says: {reason}"
            ) from error


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={model!r}")
    graph.check_built(model)
    inputs = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if len(inputs) != 1 or len(inputs[0]) != 3 or None in inputs[0]:
        raise ValueError(
            "`model` must take one batch of images of a fixed size, for instance "
            f"(32, 32, 3). Received: model={model.name!r} with inputs {inputs}"
        )
    check_saved(model)


def _check_finetuned(student, teacher) -> keras.Model:
    if not isinstance(student, keras.Model):
        raise ValueError(
            f"`finetune` must return a Keras model. Received: {type(student).__name__}"
        )
    shapes = []
    for model in (student, teacher):
        if not graph.is_graph(model) or not model.built:
            raise ValueError(
                "`finetune` must return a functional or built Sequential model. "
                f"Received: {type(model).__name__} {model.name!r}"
            )
        shapes.append([tuple(x.shape[1:]) for x in (*model.inputs, *model.outputs)])
    if shapes[0] != shapes[1]:
        raise ValueError(
            "`finetune` must return a model of the same inputs and outputs, "
            f"{shapes[1]}. Received: {shapes[0]}"
        )
    return student


def _measure(files, expected, held_out, threads) -> tuple[dict, ...]:
    with tempfile.TemporaryDirectory() as folder:
        cases = {}
        for name, (_, _, tflite) in files.items():
            path = os.path.join(folder, f"{name}.tflite")
            with open(path, "wb") as file:
                file.write(tflite)
            cases[name] = benchmarking.Case(path, threads=threads)
        latencies = benchmarking.compare(cases, runs=_RUNS)
    rows = []
    for (name, (model, quantize, tflite)), latency in zip(
        files.items(), latencies, strict=True
    ):
        near = fidelity(expected, file_outputs(tflite, held_out.inputs, threads))
        counted = profile(model)
        rows.append(
            {
                "name": name,
                "quantize": quantize,
                "agreement": near.agreement,
                "error": near.error,
                "macs": counted.macs,
                "params": counted.params,
                "bytes": len(tflite),
                "ms": round(latency.median_ms, 4),
                "ratio": round(latency.ratio, 4),
            }
        )
    return tuple(rows)
