"""A network that takes no more than a part of another's time, in LiteRT."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import benchmarking, convolutions, export
from keras_roots.compression.fidelity import (
    Fidelity,
    fidelity,
    file_outputs,
    keras_outputs,
)
from keras_roots.compression.options import WAYS
from keras_roots.compression.plan import CompressionPlan
from keras_roots.compression.planner import Planner
from keras_roots.convolutions import Layers
from keras_roots.utils import checks

QUANTIZATIONS = (None, "int8")
_TRIES = 5  # plans that are measured
_NEAR = 0.95  # of the budget: no further plan is tried
_JUDGED = 500  # images that files are compared on


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
    """

    model: keras.Model
    quantize: str | None
    plan: CompressionPlan | None
    ratio: float
    fidelity: Fidelity


def meet_budget(
    model: keras.Model,
    images: np.ndarray,
    budget: float,
    *,
    quantize: Sequence[str | None] = QUANTIZATIONS,
    ways: Sequence[str] = WAYS,
    layers: Layers = None,
    threads: int = 1,
    latency_table: str | os.PathLike | None = None,
    seed: int | None = 0,
    held_out: np.ndarray | None = None,
    say: Callable[[str], None] = print,
) -> Met:
    """Makes a network cheaper until its file takes no more than its part of the time.

    Groups and ranks come from measured times of single layers; the whole network that
    they make is measured, and they are chosen again with that in view. Of the
    quantisations that meet the budget the one is taken whose file is nearest to the
    original.

    Args:
        model: A functional or Sequential model with one input of a fixed size.
        images: Sample images `(n, height, width, channels)`, as the model takes them.
        budget: Part of the time of its float32 LiteRT file that the result may take.
        quantize: Of `QUANTIZATIONS`, those to choose among.
        ways: What layers may get, of `WAYS`.
        layers: Which convolutions may change, as for `Planner`.
        threads: Threads that the time is of.
        latency_table: CSV file of measured times of layers, which need not exist;
            `None` to measure and not keep them.
        seed: Seed of everything random.
        held_out: Images that files are compared with the original on; by default the
            first 500 of `images`.
        say: Called with a line of text after each step.

    Raises:
        ValueError: An argument is impossible, or the budget cannot be met; the message
            says what can.
        ImportError: LiteRT or TensorFlow is not installed.
    """
    budget = checks.part("budget", budget)
    quantize = checks.choices("quantize", quantize, QUANTIZATIONS)
    checks.choices("ways", ways, WAYS)
    checks.integer("threads", threads)
    checks.path("latency_table", latency_table)
    checks.seed(seed)
    images = convolutions.Samples.of(model, images)
    judged = images.take(_JUDGED) if held_out is None else held_out
    judged = convolutions.Samples.of(model, judged)
    expected = keras_outputs(model, judged)
    options = {
        "ways": ways,
        "layers": layers,
        "threads": threads,
        "latency_table": latency_table,
        "seed": seed,
    }
    found, obstacles = [], []
    for how in quantize:
        try:
            plan, ratio = _choose(model, images, budget, how, say, options)
        except _OutOfReachError as error:
            obstacles.append(str(error))
            say(str(error))
            continue
        small = model if plan is None else plan.apply()
        outputs = file_outputs(export_bytes(small, how, images.inputs), judged.inputs)
        near = fidelity(expected, outputs)
        say(f"{_label(how)}: {ratio:.3f} of the time, {near}")
        found.append(Met(small, how, plan, ratio, near))
    if not found:
        raise ValueError(
            f"`budget` cannot be met: {'; '.join(obstacles)}. Received: budget={budget}"
        )
    # Of two that are as near, the one that was only quantised.
    return max(found, key=lambda met: (met.fidelity.rank, met.plan is None))


def export_bytes(model: keras.Model, quantize: str | None, images: np.ndarray) -> bytes:
    """Returns the LiteRT file of a network for this machine, as it was measured.

    Args:
        model: The network.
        quantize: `None` or `"int8"`.
        images: Sample images to calibrate and check with.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.tflite")
        export.export_tflite(model, path, quantize, images, optimize="latency")
        with open(path, "rb") as file:
            return file.read()


class _OutOfReachError(Exception):
    """Says what can be reached."""


def _choose(model, images, budget, quantize, say, options):
    """The plan that uses most of the budget, and its measured part of the time."""
    threads = options["threads"]
    label, share = _label(quantize), 1.0
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
        raise _OutOfReachError(f"{label} reaches {least:.3f} of the time at least")
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


def _label(quantize) -> str:
    return quantize or "float32"
