"""Planning measured: the time that it takes, and what fitting in order is worth."""

import os
import resource
import time
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from keras_roots import compression, convolutions, lowrank
from keras_roots.training import runs

BUDGETS = (0.5, 0.35, 0.2)  # parts of the multiply-adds
_BATCH = 250
_AT_ONCE = "from the original's inputs"
_IN_ORDER = "in the order of the network"


def time_planning(
    name: str, model: keras.Model, images: np.ndarray, budget: float = BUDGETS[0]
) -> Iterator[dict]:
    """Measures what it takes to plan groups and ranks, and to fit kernels to the plan.

    Args:
        name: Name of the network.
        model: The network.
        images: Sample images.
        budget: Part of the multiply-adds that it may keep.

    Yields:
        A row for `"plan"` and one for `"apply"`: seconds on the clock, seconds of all
        processors together, and the most memory that the process has had by then.
    """
    plan = None
    for step in ("plan", "apply"):
        start = time.perf_counter(), time.process_time()
        if plan is None:
            plan = compression.plan_compression(model, images, budget, cost="macs")
        else:
            plan.apply()
        yield {
            "network": name,
            "image_size": images.shape[1],
            "images": len(images),
            "step": step,
            "seconds": round(time.perf_counter() - start[0], 1),
            "cpu_seconds": round(time.process_time() - start[1], 1),
            "peak_gb": round(_peak_bytes() / 1e9, 2),
            "cpus": os.cpu_count(),
            **runs.describe(),
        }


def compare_orders(
    name: str,
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    samples: int,
    seeds: int,
    budgets: Sequence[float] = BUDGETS,
) -> Iterator[dict]:
    """Decomposes by responses twice by one plan: all layers at once, and in order.

    Nothing is trained. At once, every layer is fitted to its responses in the original
    network; in order, to those from what the layers before it give by then.

    Args:
        name: Name of the network.
        model: The network, which returns logits.
        images: Images of the training set: `samples` of them are fitted to, others
            evaluated on.
        labels: Their classes.
        samples: Images that are fitted to.
        seeds: Choices of these images.
        budgets: Parts of the multiply-adds to keep.

    Yields:
        Rows: top-1, `agreement` with the original's classes, and `error`, the squared
        error of the logits relative to their variance, on the other images.
    """
    order = np.random.default_rng(seeds).permutation(len(images))
    split = len(images) - 5000
    held_out, rest = order[split:], order[:split]
    inputs, classes = images[held_out].astype("float32"), labels[held_out]
    wanted = model.predict(inputs, batch_size=_BATCH, verbose=0)

    def judge(network, **row) -> dict:
        found = network.predict(inputs, batch_size=_BATCH, verbose=0)
        left = np.square(found - wanted).sum()
        variance = np.square(wanted - wanted.mean(0)).sum()
        return {
            "network": name,
            **row,
            "images": len(inputs),
            "top1": _part(found.argmax(-1) == classes),
            "agreement": _part(found.argmax(-1) == wanted.argmax(-1)),
            "error": round(float(left / variance), 5),
            **runs.describe(),
        }

    yield judge(model, budget=1.0, seed="", samples="", fitted="")
    found = convolutions.find_convolutions(model)
    for seed in range(seeds):
        chosen = np.random.default_rng(seed).choice(rest, samples, replace=False)
        fitted = convolutions.Samples.of(model, images[chosen].astype("float32"))
        candidates = {
            layer: lowrank.Candidate.of(
                layer,
                "responses",
                found[layer],
                convolutions.Convolution.of(found[layer]),
            )
            for layer in found
        }
        candidates = lowrank.with_responses(model, candidates, fitted)
        for budget in budgets:
            plan = lowrank.plan_decomposition(
                model, method="responses", budget=budget, images=fitted
            )
            targets = {
                id(found[layer]): ("responses", rank, candidates[layer].target)
                for layer, rank in plan.ranks.items()
            }
            row = {"budget": budget, "seed": seed, "samples": samples}
            at_once = lowrank.replace_layers(model, targets)
            yield judge(at_once, **row, fitted=_AT_ONCE)
            yield judge(plan.apply(), **row, fitted=_IN_ORDER)


def _part(equal) -> float:
    return round(float(equal.mean()), 4)


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
