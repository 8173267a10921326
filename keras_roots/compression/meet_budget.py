"""A network that takes no more than a part of another's time, in LiteRT."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence

import keras

from keras_roots import benchmarking, convolutions, export
from keras_roots.compression.evaluation import Evaluation
from keras_roots.compression.fidelity import Fidelity
from keras_roots.compression.options import JUDGES, WAYS
from keras_roots.compression.plan import CompressionPlan
from keras_roots.compression.planner import Planner
from keras_roots.convolutions import Layers
from keras_roots.utils import checks

QUANTIZATIONS = (None, "int8")
_TRIES = 5  # plans that are measured
_NEAR = 0.95  # of the budget: no further plan is tried
_JUDGED = 500  # samples that files are compared on


@dataclasses.dataclass(frozen=True)
class Met:
    """A network within its budget.

    Attributes:
        model: The network, to be fine-tuned; the original itself where quantising alone
            was enough.
        quantize: How it is to be exported: `None` or `"int8"`.
        plan: Its groups and ranks; `None` where quantising alone was enough.
        ratio: Its measured time over that of the original's float32 file.
        fidelity: How near the outputs of its file are to those of the original.
        rows: A row for each stage of the network, as for `carry_out`.
    """

    model: keras.Model
    quantize: str | None
    plan: CompressionPlan | None
    ratio: float
    fidelity: Fidelity
    rows: tuple[dict, ...] = ()


def meet_budget(
    model: keras.Model,
    images,
    budget: float,
    *,
    quantize: Sequence[str | None] = QUANTIZATIONS,
    ways: Sequence[str] = WAYS,
    layers: Layers = None,
    judge: str = "auto",
    threads: int = 1,
    target: str = "host",
    latency_table: str | os.PathLike | None = None,
    seed: int | None = 0,
    evaluation: Evaluation | None = None,
    say: Callable[[str], None] = print,
) -> Met:
    """Makes a network cheaper until its file takes no more than its part of the time.

    Groups and ranks come from measured times of single layers; the whole network that
    they make is measured, and they are chosen again with that in view. Of the
    quantisations that meet the budget the one is taken whose file's outputs are nearest
    to the original's.

    Args:
        model: A functional or Sequential model whose inputs have fixed sizes.
        images: Samples of its inputs, as for `convolutions.Samples`.
        budget: Part of the time of its float32 LiteRT file that the result may take.
        quantize: Of `QUANTIZATIONS`, those to choose among.
        ways: What layers may get, of `WAYS`.
        layers: Which convolutions may change, as for `Planner`.
        judge: What layers are chosen by, as for `Planner`.
        threads: Threads that the time is of.
        target: Processor that files are made for, as for `export_tflite`; `"host"` for
            this machine.
        latency_table: CSV file of measured times of layers, which need not exist;
            `None` to measure and not keep them.
        seed: Seed of everything random.
        evaluation: What compares files with the original; by default on the first 500
            of `images`.
        say: Called with a line of text after each step.

    Raises:
        ValueError: An argument is impossible, or the budget cannot be met; the message
            says what can.
        ImportError: LiteRT or TensorFlow is not installed.
    """
    budget = checks.part("budget", budget)
    quantize = checks.choices("quantize", quantize, QUANTIZATIONS)
    checks.choices("ways", ways, WAYS)
    checks.choice("judge", judge, JUDGES)
    checks.integer("threads", threads)
    target = export.resolve_target(target)
    checks.path("latency_table", latency_table)
    checks.seed(seed)
    images = convolutions.Samples.of(model, images)
    if evaluation is None:
        evaluation = Evaluation(model, images.take(_JUDGED), threads=threads)
    options = {
        "ways": ways,
        "layers": layers,
        "judge": judge,
        "threads": threads,
        "latency_table": latency_table,
        "seed": seed,
    }
    found, obstacles = [], []
    for how in quantize:
        label = how or "float32"
        try:
            plan, ratio = _choose(model, images, budget, how, say, options)
            small, rows = model, ()
            if plan is not None:
                small, rows = carry_out(plan, evaluation, say)
            near = evaluation.of_file(export_bytes(small, how, images, target))
        except (_OutOfReachError, export.ExportError) as error:
            obstacles.append(f"{label} {error}")
            say(obstacles[-1])
            continue
        say(f"{label}: {ratio:.3f} of the time, {near}")
        found.append(Met(small, how, plan, ratio, near, rows))
    if not found:
        raise ValueError(
            f"`budget` cannot be met: {'; '.join(obstacles)}. Received: budget={budget}"
        )
    # Of two that are as near, the one that was only quantised.
    return min(found, key=lambda met: (met.fidelity.error, met.plan is not None))


def carry_out(
    plan: CompressionPlan, evaluation: Evaluation, say: Callable[[str], None]
) -> tuple[keras.Model, tuple[dict, ...]]:
    """Returns the network of a plan, recalibrated if that brings its outputs nearer.

    Args:
        plan: The plan.
        evaluation: What compares networks with the original.
        say: Called with a line of text where recalibration does not help.

    Returns:
        The network, and a row of each stage, `"fitted"` and `"recalibrated"`, the
        second only if there is anything to recalibrate.
    """
    fitted = plan.apply()
    rows = [evaluation.row("fitted", fitted)]
    if not any(
        isinstance(layer, keras.layers.BatchNormalization)
        for layer in fitted._flatten_layers()
    ):
        return fitted, tuple(rows)
    recalibrated = convolutions.recalibrate(fitted, plan.images)
    rows.append(evaluation.row("recalibrated", recalibrated))
    before, after = (row["error"] for row in rows)
    if after <= before:
        return recalibrated, tuple(rows)
    say(f"not recalibrated: outputs would be off by {after:.2%}, not {before:.2%}")
    return fitted, tuple(rows)


def export_bytes(
    model: keras.Model,
    quantize: str | None,
    images: convolutions.Samples,
    target: str,
) -> bytes:
    """Returns the LiteRT file of a network, as it was measured.

    Args:
        model: The network.
        quantize: `None` or `"int8"`.
        images: Samples to calibrate and check with.
        target: As for `export_tflite`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        how = {"optimize": "latency", "target": target}
        export.export_tflite(model, path, quantize, images.inputs, **how)
        with open(path, "rb") as file:
            return file.read()


class _OutOfReachError(Exception):
    """Says what can be reached."""


def _choose(model, images, budget, quantize, say, options):
    """The plan that uses most of the budget, and its measured part of the time."""
    threads = options["threads"]
    label, share = quantize or "float32", 1.0
    if quantize is not None:
        share = _ratio(model, model, quantize, threads)
        say(f"{label}: the network as it is takes {share:.3f} of the time")
    if share <= budget:
        return None, share
    planner = Planner(model, images, quantize=quantize, **options)
    best, least, scale = None, share, 1.0
    for _ in range(_TRIES):
        part = max(budget / share, planner.least(scale) + 1e-6)
        if part >= 1:
            break  # nothing that was tried saved any time
        plan = planner.plan(part, scale)
        ratio = _ratio(model, plan.sketch(), quantize, threads)
        say(f"{label}: a plan for {part * share:.3f} takes {ratio:.3f}")
        least = min(least, ratio)
        if ratio <= budget and (best is None or ratio > best[1]):
            best = plan, ratio
        if _NEAR * budget <= ratio <= budget:
            break
        saved = 1 - ratio / share
        scale = max(saved, 1e-3) / ((1 - plan.part) / scale)
    if best is None:
        raise _OutOfReachError(f"reaches {least:.3f} of the time at least")
    return best


def _ratio(original, other, quantize, threads) -> float:
    """Time of a network over the original's in float32, measured in turns."""
    arguments = {"threads": threads, "optimize": "latency"}
    rows = benchmarking.compare(
        {
            "original": benchmarking.Case(original, **arguments),
            "other": benchmarking.Case(other, quantize=quantize, **arguments),
        }
    )
    return rows[1].ratio
