"""One call from a trained network to a cheaper one and its LiteRT file."""

import dataclasses
import datetime
import os
import tempfile
from collections.abc import Callable, Sequence

import keras

from keras_roots import benchmarking, convolutions, export, graph, utils
from keras_roots.compression import report
from keras_roots.compression.evaluation import Evaluation, Metric
from keras_roots.compression.meet_budget import (
    QUANTIZATIONS,
    carry_out,
    export_bytes,
    meet_budget,
    resolve_target,
)
from keras_roots.compression.options import JUDGES, WAYS, resolve_judge
from keras_roots.compression.plan import COSTS, CompressionPlan
from keras_roots.compression.planner import plan_compression
from keras_roots.convolutions import Layers, Samples
from keras_roots.profiling import profile
from keras_roots.utils import checks, format_rows

_AUTO = "auto"
_RUNS = 200  # timed calls of each file
COLUMNS = {
    "name": "{}",
    "quantize": "{}",
    "agreement": "{:.2%}",
    "error": "{:.2%}",
    "metric": "{:.4g}",
    "macs": "{:,}",
    "params": "{:,}",
    "bytes": "{:,}",
    "ms": "{:.3f}",
    "ratio": "{:.3f}",
    "chosen": "{}",
}
_ALWAYS = ("name", "quantize", "chosen")

Finetune = Callable[[keras.Model, keras.Model], keras.Model]


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A network that was made cheaper; prints as a table.

    Attributes:
        model: The network, in float32; the original itself where quantising alone is
            best.
        plan: Its groups and ranks; `None` where quantising alone is best.
        quantize: How its file is quantised: `None` or `"int8"`.
        tflite: Content of its LiteRT file; `None` where LiteRT's converter refuses the
            network, which is allowed for with `cost="macs"`.
        rows: A row of each file and of each stage between, in this order: `"original"`,
            its float32 file; `"quantized"`, its int8 file, where that is allowed;
            `"fitted"`, `"recalibrated"` and `"fine-tuned"`, Keras models; and
            `"compressed"`, the file of the last that is kept. Each has `name`,
            `quantize`; `agreement`, the top-1 agreement with the original on held-out
            samples, `None` without a softmax; `error`, the relative squared error of
            the outputs, and `errors` by output where there are several; `metric`, of
            the Keras model; `macs`, `params`; of files also `bytes`, `ms`, and `ratio`
            to the time of the original's.
        chosen: Index of the row of the file that is returned.
        original: The network that was compressed.
        held_out: The samples that networks and files were compared on.
    """

    model: keras.Model
    plan: CompressionPlan | None = dataclasses.field(repr=False)
    quantize: str | None
    tflite: bytes | None = dataclasses.field(repr=False)
    rows: tuple[dict, ...]
    chosen: int
    original: keras.Model = dataclasses.field(repr=False)
    held_out: Samples = dataclasses.field(repr=False)

    @property
    def ratio(self) -> float | None:
        """Measured time over that of the original's float32 file."""
        return self.rows[self.chosen].get("ratio")

    @property
    def agreement(self) -> float | None:
        """Top-1 agreement of the file with the original on held-out samples."""
        return self.rows[self.chosen]["agreement"]

    @property
    def error(self) -> float:
        """Relative squared error of the file's outputs on held-out samples."""
        return self.rows[self.chosen]["error"]

    @property
    def table(self) -> tuple[list[dict], dict[str, str]]:
        """Rows as they are shown, and the columns with anything in them."""
        rows = [
            row
            | {f"error {key}": value for key, value in row.get("errors", {}).items()}
            for row in self.rows
        ]
        rows[self.chosen]["chosen"] = "<-"
        columns = {}
        for name, form in COLUMNS.items():
            columns[name] = form
            if name == "error":
                errors = self.rows[0].get("errors", {})
                columns |= {f"error {key}": form for key in errors}
        used = {
            name: form
            for name, form in columns.items()
            if name in _ALWAYS or any(row.get(name) is not None for row in rows)
        }
        return rows, used

    def __str__(self) -> str:
        return format_rows(*self.table, left=2)

    def save_report(self, path: str | os.PathLike) -> None:
        """Writes one HTML page: stages, layers, their spectra, outputs side by side.

        Args:
            path: File to write, which needs no other.

        Raises:
            OSError: The file cannot be written.
        """
        checks.path("path", path, required=True)
        rows, columns = self.table
        report.write_report(
            path,
            self.original,
            self.model,
            self.held_out,
            facts={
                "processor": benchmarking.processor(),
                "versions": benchmarking.versions(),
                "date": datetime.date.today().isoformat(),
            },
            stages=rows,
            columns=columns,
            chosen=self.chosen,
            layers=() if self.plan is None else self.plan.layers,
        )


def compress(
    model: keras.Model,
    images,
    budget: float = 0.25,
    cost: str = "latency",
    *,
    quantize: str | None = _AUTO,
    ways: Sequence[str] = WAYS,
    layers: Layers = None,
    judge: str = "responses",
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
    _check_model(model, layers, ways)
    fitted, held_out = Samples.of(model, images).split(seed)
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
    files = [_File("original", model, None, None)]
    if "int8" in allowed:
        files.append(_File("quantized", model, None, "int8"))
    if small is not model:
        files.append(_File("compressed", small, plan, quantize))
    required = {"original", files[-1].name} if cost == "latency" else ()
    files = _exported(files, fitted, target, required, say)
    rows = [
        evaluation.row(file.name, file.model, file.near(evaluation))
        | {"quantize": file.quantize}
        for file in files
    ]
    for row, more in zip(rows, _measured(files, threads), strict=True):
        row |= more
    last = len(files) - 1
    best = _best(rows, budget if cost == "latency" else None)
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
    resolved = resolve_target(target)
    if cost == "latency" and resolved != benchmarking.host_target():
        raise ValueError(
            "`target` must be 'host' with cost='latency': times are measured on this "
            "machine. With cost='macs' it may be another. "
            f"Received: target={target!r}"
        )
    return resolved


def _check_model(model, layers, ways):
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={model!r}")
    graph.check_built(model)
    inputs = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if any(None in shape for shape in inputs):
        raise ValueError(
            "`model` must take inputs of fixed sizes. Make it one of the size of your "
            "images: `image = keras.Input((224, 224, 3))`, then "
            "`keras.Model(image, model(image))`. "
            f"Received: model={model.name!r} with inputs {inputs}"
        )
    _layers(model, layers, ways)
    check_saved(model)


def _layers(model, layers, ways) -> dict:
    return convolutions.find_convolutions(model, layers, hidden_dense="rank" in ways)


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


@dataclasses.dataclass
class _File:
    """A LiteRT file to choose among."""

    name: str
    model: keras.Model
    plan: CompressionPlan | None
    quantize: str | None
    content: bytes | None = None

    def near(self, evaluation):
        """How near its outputs are; those of its network where there is no file."""
        if self.content is None:
            return None
        return evaluation.of_file(self.content)


def _exported(files, samples, target, required, say) -> list[_File]:
    """The files with their content; a quantised one that is refused is left out."""
    found = []
    for file in files:
        try:
            how = (file.quantize, samples, target)
            file.content = export_bytes(file.model, *how)
        except export.ExportError as error:
            if file.name in required or (file.quantize and file.name != "quantized"):
                raise
            say(f"{file.name}: no file, {error}")
            if file.name == "quantized":
                continue
        found.append(file)
    return found


def _measured(files, threads) -> list[dict]:
    """Bytes and time of each file, measured in turns."""
    rows, cases = [{} for _ in files], {}
    with tempfile.TemporaryDirectory() as folder:
        for index, each in enumerate(files):
            if each.content is None:
                continue
            path = os.path.join(folder, f"{index}.tflite")
            with open(path, "wb") as file:
                file.write(each.content)
            cases[each.name] = benchmarking.Case(path, threads=threads)
        latencies = benchmarking.compare(cases, runs=_RUNS) if cases else []
    timed = dict(zip(cases, latencies, strict=True))
    for row, file in zip(rows, files, strict=True):
        if file.name in timed:
            latency = timed[file.name]
            row["bytes"] = len(file.content)
            row["ms"] = round(latency.median_ms, 4)
            # Without a file of the original there is nothing to relate times to.
            row["ratio"] = round(latency.ratio, 4) if "original" in timed else None
    return rows


def _best(rows, budget) -> int:
    """The row whose file is returned: the nearest within the budget of time."""
    last = len(rows) - 1
    if budget is None:
        return last

    def counts(row) -> bool:
        fast = row["ratio"] <= budget or row["ratio"] <= rows[last]["ratio"]
        return row["name"] == "quantized" and fast

    found = [last, *(index for index, row in enumerate(rows) if counts(row))]
    return min(
        found,
        key=lambda index: (
            -(rows[index]["metric"] or 0),
            rows[index]["error"],
            index,
        ),
    )
