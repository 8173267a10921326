"""One call from a trained network to a cheaper one and its LiteRT file."""

import os
import tempfile
from collections.abc import Callable, Sequence

import keras

from keras_roots import convolutions, export, graph, utils
from keras_roots.compression import litert_files
from keras_roots.compression.evaluation import Evaluation, Metric
from keras_roots.compression.meet_budget import (
    QUANTIZATIONS,
    carry_out,
    meet_budget,
)
from keras_roots.compression.options import JUDGES, WAYS, resolve_judge
from keras_roots.compression.plan import COSTS
from keras_roots.compression.planner import plan_compression
from keras_roots.compression.result import Compressed
from keras_roots.convolutions import Layers, Samples
from keras_roots.profiling import profile
from keras_roots.utils import checks

_AUTO = "auto"
Finetune = Callable[[keras.Model, keras.Model], keras.Model]


def compress(
    model: keras.Model,
    images,
    budget: float = 0.25,
    cost: str = "latency",
    *,
    quantize: str | None = _AUTO,
    ways: Sequence[str] = WAYS,
    layers: Layers = None,
    judge: str = "auto",
    metric: Metric | None = None,
    finetune: Finetune | None = None,
    threads: int = 1,
    target: str = "host",
    latency_table: str | os.PathLike | None = None,
    seed: int = 0,
    say: Callable[[str], None] | None = print,
) -> Compressed:
    """Makes a trained network of any task cheaper, within a part of its cost.

    Convolutions get filter groups (Deep Roots, CVPR 2017) or lower ranks (Coordinating
    Filters, ICCV 2017), layer by layer, chosen for what they lose over what they cost.
    Of a budget of time, the whole network is measured in LiteRT on this machine, and
    its file is float32 or int8. No labels are needed: kernels are fitted to the
    responses of the layers before, and BatchNormalization's statistics are estimated
    anew where that helps. Training is the caller's: `finetune`.

    The file whose outputs are nearest to the original's on held-out samples is
    returned, of all that are within the budget; the int8 file of the network as it is
    counts as one, and is preferred to a compressed one that is neither faster nor
    nearer. `metric`, where it is given, goes before outputs.

    Args:
        model: A functional or Sequential model with 2D convolutions, whose inputs have
            fixed sizes; any number of inputs and outputs. It stays as it is.
        images: Samples of the inputs, as the model takes them, a few hundred of the
            training set: an array `(n, ...)`, of several inputs a tuple or a dictionary
            of arrays, or batches of either, as a `tf.data.Dataset`, a generator and
            the like; labels are not needed, and ignored. A fifth of them, at most 500,
            is held out to compare networks and files on.
        budget: Part of the cost that the network may keep, between 0 and 1.
        cost: `"latency"`, the time of the model's float32 LiteRT file, or `"macs"`, its
            multiply-adds.
        quantize: How the file is quantised: `None`, `"int8"`, or `"auto"` to choose;
            that is `None` with `cost="macs"`.
        ways: What layers may get: `"groups"`, `"rank"`.
        layers: Which layers may change: names, a function of the layer, `"pointwise"`,
            `"spatial"`; `None` as for `plan_compression`.
        judge: What layers are chosen by, as for `plan_compression`.
        metric: Function of a Keras model that returns a number, the greater the better;
            measured at every stage.
        finetune: Function of the cheaper network and the original, student and teacher,
            that returns the trained network; `None` to train nothing. One that is worse
            on held-out samples (by `metric`; without, by both agreement and error) is
            not kept.
        threads: Threads that times are of.
        target: Processor that files are made for, as for `export_tflite`; `"host"` is
            this machine, which `cost="latency"` is measured on.
        latency_table: CSV file of measured times of layers, which need not exist.
        seed: Seed of everything random.
        say: Called with a line of text after each step; `None` to say nothing.

    Returns:
        A `Compressed`: `.model`, `.tflite`, `.ratio`, `.agreement`, `.error`; it prints
        as a table.

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
    ways = checks.choices("ways", ways, WAYS)
    checks.choice("judge", judge, JUDGES)
    threads = checks.integer("threads", threads)
    target = _check_target(target, cost)
    checks.path("latency_table", latency_table)
    if cost != "latency":
        checks.unused("latency_table", latency_table, "cost='latency'")
    checks.integer("seed", seed, least=0)
    if finetune is not None:
        checks.function("finetune", finetune, "student", "teacher")
    if metric is not None:
        checks.function("metric", metric, "model")
    say = _silent if say is None else checks.function("say", say, "text")
    model = graph.expand_composites(model)
    fitted, held_out = Samples.of(model, images).split(seed)
    _check_model(model, layers, ways)
    evaluation = Evaluation(model, held_out, metric, threads)
    if judge == "auto":
        count = len(_layers(model, layers, ways))
        judge = resolve_judge(judge, profile(model).macs, count, ways)
        say(f"layers are chosen by what is lost of the {judge}")
    how = {"ways": ways, "layers": layers, "judge": judge, "seed": seed}
    allowed = QUANTIZATIONS if quantize == _AUTO else (quantize,)
    if cost == "latency":
        met = meet_budget(
            model,
            fitted,
            budget,
            quantize=allowed,
            threads=threads,
            target=target,
            latency_table=latency_table,
            evaluation=evaluation,
            say=say,
            **how,
        )
        small, plan, quantize, stages = met.model, met.plan, met.quantize, met.rows
    else:
        quantize = None if quantize == _AUTO else quantize
        allowed = (quantize,)
        plan = plan_compression(model, fitted, budget, cost="macs", **how)
        say(f"multiply-adds: {plan.part:.3f}")
        small, stages = carry_out(plan, evaluation, say)
    if finetune is not None:
        small, row = _finetune(finetune, small, model, evaluation, say)
        stages = (*stages, row)
    files = [litert_files.LiteRTFile("original", model, None, None)]
    if "int8" in allowed:
        files.append(litert_files.LiteRTFile("quantized", model, None, "int8"))
    if small is not model:
        files.append(litert_files.LiteRTFile("compressed", small, plan, quantize))
    required = {"original", files[-1].name} if cost == "latency" else ()
    files = litert_files.exported(files, fitted, target, required, say)
    rows = [
        evaluation.row(file.name, file.model, file.near(evaluation))
        | {"quantize": file.quantize}
        for file in files
    ]
    for row, more in zip(rows, litert_files.measured(files, threads), strict=True):
        row |= more
    last = len(files) - 1
    best = litert_files.best(rows, budget if cost == "latency" else None)
    if best != last:
        say(
            "the network is only quantised: outputs are off by "
            f"{rows[best]['error']:.2%}, not {rows[last]['error']:.2%}"
        )
    chosen = files[best]
    compressed = rows[-1:] if files[-1].name == "compressed" else []
    before = rows[: len(rows) - len(compressed)]
    return Compressed(
        chosen.model,
        chosen.plan,
        chosen.quantize,
        chosen.content,
        (*before, *stages, *compressed),
        best if best != last or not compressed else len(before) + len(stages),
        model,
        held_out,
    )


def _check_saved(model: keras.Model) -> None:
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
            reason = reason.rpartition("Exception encountered: ")[2]
            raise ValueError(
                "`model` must be one that Keras saves and loads: register layers and "
                "functions of yours with keras.saving.register_keras_serializable, "
                "and let a layer take the place of a Lambda with a lambda in it. "
                f"Received: model={model.name!r}, of which loading says: "
                f"{checks.quoted(reason)}"
            ) from error


def _silent(text):
    """Says nothing."""


def _check_target(target, cost) -> str:
    resolved = export.resolve_target(target)
    if cost == "latency" and resolved != export.resolve_target("host"):
        raise ValueError(
            "`target` must be 'host' with cost='latency': times are measured on this "
            "machine. With cost='macs' it may be another. "
            f"Received: target={target!r}"
        )
    return resolved


def _check_model(model, layers, ways):
    inputs = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if any(None in shape for shape in inputs):
        raise ValueError(
            "`model` must take inputs of fixed sizes. Make it one of the size of your "
            "images: `image = keras.Input((224, 224, 3))`, then "
            "`keras.Model(image, model(image))`. "
            f"Received: model={model.name!r} with inputs {inputs}"
        )
    _layers(model, layers, ways)
    _check_saved(model)


def _layers(model, layers, ways) -> dict:
    parts = graph.take_apart(model)
    return convolutions.find_convolutions(parts, layers, hidden_dense="rank" in ways)


def _finetune(finetune, small, model, evaluation, say) -> tuple[keras.Model, dict]:
    """The trained network, or the one before where training made it worse."""
    student = graph.rewrite(small, lambda layer: None)  # the one before may be kept
    trained = _check_finetuned(finetune(student, model), student, model)
    row = evaluation.row("fine-tuned", trained)
    before = evaluation.row("untrained", small)
    names = ("agreement", "error") if before["metric"] is None else ("metric",)
    gains = [row[name] - before[name] for name in names if before[name] is not None]
    if "error" in names:
        gains[-1] *= -1
    if max(gains) >= 0:
        return trained, row
    shown = ", ".join(
        f"{name} {row[name]:.4g}, before {before[name]:.4g}"
        for name in names
        if before[name] is not None
    )
    say(f"fine-tuning made it worse on held-out samples and is not kept: {shown}")
    return small, row


def _check_finetuned(trained, student, teacher) -> keras.Model:
    if not isinstance(trained, keras.Model):
        raise ValueError(
            f"`finetune` must return a Keras model. Received: {type(trained).__name__}"
        )
    shapes = []
    for model in (trained, teacher):
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
    macs = [profile(model).macs for model in (trained, student)]
    if trained is teacher or macs[0] > macs[1]:
        raise ValueError(
            "`finetune` must return the student, trained. Received: "
            + ("the teacher" if trained is teacher else "another network")
            + f" of {macs[0]:,} multiply-adds, where the student has {macs[1]:,}"
        )
    return trained
