"""Planning measured: its time, the order of fitting, and what ranks are chosen by."""

import dataclasses
import os
import resource
import time
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from keras_roots import compression, convolutions, graph, lowrank
from keras_roots.training import data, evaluation, runs, trainer

BUDGETS = (0.5, 0.35, 0.2)  # parts of the multiply-adds
_BATCH = 250
_AT_ONCE = "from the original's inputs"
_IN_ORDER = "in the order of the network"
_JUDGES = ("responses", "outputs")


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
    dataset: data.Dataset,
    samples: int,
    seeds: int,
    budgets: Sequence[float] = BUDGETS,
) -> Iterator[dict]:
    """Decomposes by responses twice by one plan: all layers at once, and in order.

    Nothing is trained. At once, every layer is fitted to its responses in the original
    network; in order, to those from what the layers before it give by then.

    Args:
        name: Name of the network.
        model: The network, whose output is a softmax or logits.
        dataset: Training images are fitted to; networks are compared on the images of
            `dataset.evaluation`.
        samples: Images that are fitted to.
        seeds: Choices of these images.
        budgets: Parts of the multiply-adds to keep.

    Yields:
        A row of the network itself, and two for each choice and budget: top-1,
        `agreement` with the original's classes, and `error`, the squared error of the
        logits relative to their variance; or why the budget is `refused`.

    Raises:
        ValueError: The model is no classifier of the classes of the data set.
    """
    model = graph.take_apart(graph.expand_composites(model))
    compared = _Comparison(name, model, dataset)
    yield compared.row(model, budget=1.0, seed="", samples="", fitted="", refused="")
    found = convolutions.find_convolutions(model, hidden_dense=True)
    for seed in range(seeds):
        images = dataset.sample(model, samples, seed)
        fitted = convolutions.Samples.of(model, images)
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
            row = {"budget": budget, "seed": seed, "samples": samples}
            plan, refused = _planned(
                lowrank.plan_decomposition,
                model,
                method="responses",
                budget=budget,
                images=fitted,
            )
            if refused:
                yield compared.row(None, **row, fitted="", refused=refused)
                continue
            factors = {
                id(found[layer]): (
                    "responses",
                    lowrank.factorise("responses", candidates[layer].target, rank),
                )
                for layer, rank in plan.ranks.items()
            }
            at_once = lowrank.replace_layers(model, factors)
            yield compared.row(at_once, **row, fitted=_AT_ONCE, refused="")
            yield compared.row(plan.apply(), **row, fitted=_IN_ORDER, refused="")


def compare_judges(
    name: str,
    model: keras.Model,
    dataset: data.Dataset,
    samples: int,
    seeds: int,
    budgets: Sequence[float] = BUDGETS,
) -> Iterator[dict]:
    """Chooses ranks by what layers lose of their responses, and by the outputs.

    Nothing is trained. Kernels are fitted to the ranks in the same way.

    Args:
        name: As for `compare_orders`, like all arguments.
        model: The network; probabilities are judged by their divergence.
        dataset: Where images come from.
        samples: Images that choices are made by and kernels fitted to.
        seeds: Choices of these images.
        budgets: Parts of the multiply-adds to keep.

    Yields:
        Rows as from `compare_orders`, by `judge`, with the `part` of the multiply-adds
        that is kept, and `cpu_seconds`, what all processors together took to judge the
        layers' ranks, once for all budgets.

    Raises:
        ValueError: The model is no classifier of the classes of the data set.
    """
    compared = _Comparison(name, model, dataset)
    row = {"budget": 1.0, "seed": "", "samples": "", "judge": "", "cpu_seconds": ""}
    yield compared.row(model, **row, part=1.0, refused="")
    for seed in range(seeds):
        images = dataset.sample(model, samples, seed)
        for judge in _JUDGES:
            start = time.process_time()
            planner = compression.Planner(
                model, images, cost="macs", ways=("rank",), judge=judge
            )
            seconds = round(time.process_time() - start, 1)
            for budget in budgets:
                row = {"budget": budget, "seed": seed, "samples": samples}
                row |= {"judge": judge, "cpu_seconds": seconds}
                plan, refused = _planned(planner.plan, budget)
                yield compared.row(
                    plan and plan.apply(),
                    **row,
                    part=plan and round(plan.part, 4),
                    refused=refused,
                )


class _Comparison:
    """Networks beside the original, on images that nothing is fitted to."""

    def __init__(self, name, model, dataset):
        self._name, self._dataset = name, dataset
        self._original, _ = self._run(model)

    def row(self, network: keras.Model | None, **columns) -> dict:
        """Returns a row of a table; of no network, only its given columns."""
        found = dict.fromkeys(("images", "top1", "agreement", "error"))
        if network is not None:
            found = self._measure(network)
        return {"network": self._name, **columns, **found, **runs.describe()}

    def _measure(self, network) -> dict:
        wanted, (found, score) = self._original, self._run(network)
        left = np.square(found - wanted).sum()
        variance = np.square(wanted - wanted.mean(0)).sum()
        same = found.argmax(-1) == wanted.argmax(-1)
        return {
            "images": score.images,
            "top1": round(score.top1, 4),
            "agreement": round(float(same.mean()), 4),
            "error": round(float(left / variance), 5),
        }

    def _run(self, network) -> tuple:
        """The logits of all images, and how many of them are right."""
        predictor, logits = evaluation.model_predictor(trainer.logits(network)), []

        def predict(images):
            logits.append(predictor.predict(images))
            return logits[-1]

        listening = dataclasses.replace(predictor, predict=predict)
        score = evaluation.evaluate_on(listening, self._dataset, "evaluation", _BATCH)
        return np.concatenate(logits).astype("float64"), score


def _planned(plan, *args, **options) -> tuple:
    """The plan, or `None` and why there is none."""
    try:
        return plan(*args, **options), ""
    except ValueError as error:
        return None, str(error)


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
