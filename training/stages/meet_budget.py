"""A network that takes no more than a part of another's time, in LiteRT."""

import dataclasses
import os
import tempfile
from collections.abc import Callable

import keras
import numpy as np

import keras_roots
from keras_roots import benchmarking
from keras_roots.benchmarking import LatencyTable
from keras_roots.compression import CompressionPlan, Planner
from keras_roots.training import evaluation
from keras_roots.training.stages.compression_settings import Budget, chosen_layers

_DTYPES = {"none": "float32", "int8": "int8"}
_TRIES = 5  # plans that are measured
_NEAR = 0.95  # of the budget: no further plan is tried
_JUDGED = 500  # images for the agreement


@dataclasses.dataclass(frozen=True)
class Met:
    """A network within its budget.

    Attributes:
        model: The network, which wants to be trained.
        quantize: How it is to be exported: `"none"` or `"int8"`.
        plan: Its groups and ranks; `None` where quantising alone was enough.
        ratio: Its measured time over that of the original's float32 file.
        agreement: Part of the sample images on which its file predicts the class that
            the original does.
    """

    model: keras.Model
    quantize: str
    plan: CompressionPlan | None
    ratio: float
    agreement: float


def meet(
    model: keras.Model,
    images: np.ndarray,
    budget: Budget,
    say: Callable[[str], None] = print,
) -> Met:
    """Makes a network cheaper until its file takes no more than its part of the time.

    Groups and ranks come from measured times of single layers; what is made of them is
    measured whole, and chosen again with what was learned. Of the quantisations that
    can meet the budget the one is taken whose file agrees most with the original.

    Args:
        model: The network.
        images: Sample images `(n, height, width, channels)` of the training set.
        budget: What it may take.
        say: Called with a line of text after each step.

    Raises:
        ValueError: The budget cannot be met; the message tells what can.
        ImportError: LiteRT, TensorFlow or SciPy is not installed.
    """
    found, obstacles = [], []
    for quantize in budget.quantize:
        try:
            plan, ratio = _choose(model, images, budget, quantize, say)
        except _OutOfReachError as error:
            obstacles.append(str(error))
            say(str(error))
            continue
        small = model if plan is None else plan.apply(images)
        agreement = _agreement(model, small, quantize, images)
        say(f"{quantize}: {ratio:.3f} of the time, agrees on {agreement:.2%}")
        found.append(Met(small, quantize, plan, ratio, agreement))
    if not found:
        raise ValueError(
            f"`latency` cannot be met: {'; '.join(obstacles)}. "
            f"Received: latency={budget.latency}"
        )
    # Of two that agree as much, the one that was only quantised.
    return max(found, key=lambda met: (met.agreement, met.plan is None))


class _OutOfReachError(Exception):
    """Says what can be reached."""


def _choose(model, images, budget, quantize, say):
    """The plan that uses most of the budget, and its measured part of the time."""
    share = 1.0
    if quantize != "none":
        share = _ratio(model, model, quantize, budget.threads)
        say(f"{quantize}: the network as it is takes {share:.3f} of the time")
    if share <= budget.latency:
        return None, share
    dtype = _DTYPES[quantize]
    planner = Planner(
        model,
        images,
        dtype=dtype,
        table=LatencyTable(budget.latency_table, dtype, budget.threads),
        threads=budget.threads,
        ways=budget.ways,
        layers=chosen_layers(budget.layers, None),
    )
    best, least, scale = None, share, 1.0
    for _ in range(_TRIES):
        part = max(budget.latency / share, planner.least(scale) + 1e-6)
        if part >= 1:
            break  # nothing that was tried saved any time
        plan = planner.plan(part, scale)
        ratio = _ratio(model, plan.sketch(), quantize, budget.threads)
        say(f"{quantize}: a plan for {part * share:.3f} takes {ratio:.3f}")
        least = min(least, ratio)
        if ratio <= budget.latency and (best is None or ratio > best[1]):
            best = plan, ratio
        if _NEAR * budget.latency <= ratio <= budget.latency:
            break
        saved = 1 - ratio / share
        scale = max(saved, 1e-3) / ((plan.before - plan.after) / plan.before / scale)
    if best is None:
        raise _OutOfReachError(f"{quantize} reaches {least:.3f} of the time at least")
    return best


def _ratio(original, other, quantize, threads) -> float:
    """Time of a network over the original's in float32, measured in turns."""
    arguments = {"threads": threads, "optimize": "latency"}
    quantize = None if quantize == "none" else quantize
    rows = benchmarking.compare(
        {
            "original": benchmarking.Case(original, **arguments),
            "other": benchmarking.Case(other, quantize=quantize, **arguments),
        }
    )
    return rows[1].ratio


def _agreement(original, small, quantize, images) -> float:
    images = images[:_JUDGED]
    expected = original.predict(images, verbose=0).argmax(axis=-1)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "small.tflite")
        export(small, path, quantize, images)
        predictor = evaluation.load_predictor(path)
        scores = [predictor.predict(image[None])[0] for image in images]
    return float((np.argmax(scores, axis=-1) == expected).mean())


def export(
    model: keras.Model, path: str | os.PathLike, quantize: str, images: np.ndarray
) -> None:
    """Exports a network for this machine, as it was measured.

    Args:
        model: The network.
        path: Of the `.tflite` file.
        quantize: `"none"` or `"int8"`.
        images: Training images to calibrate and check with.
    """
    quantize = None if quantize == "none" else quantize
    keras_roots.export_tflite(model, path, quantize, images, optimize="latency")
