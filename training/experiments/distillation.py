"""What training wins back of a network made cheaper, with labels and without.

Filter groups and ranks are chosen and fitted by training images, for parts of the
multiply-adds and of the measured time of the float32 LiteRT file. Each network is then
trained three times from the same weights: on the answers of the original to a few
images; on its answers to all training images; and on the labels of all of them. The
last two have the recipe of the data set in common: batches, augmentation, epochs and a
rate that falls to zero. Errors are on the test images, on which nothing was chosen.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from keras_roots import benchmarking
from keras_roots.models import NetworkName, list_models
from keras_roots.training import data, runs
from keras_roots.training.experiments.rows import (
    Row,
    error_of,
    falling,
    refusal,
    rounded,
)
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import (
    Budget,
    Distil,
    FineTune,
    FineTuning,
    Keep,
    MeetBudget,
    Outcome,
)
from keras_roots.utils import checks

NETWORKS = ("root_nin:1", "root_resnet20:1")
COSTS = ("macs", "latency")
PARTS = (0.5, 0.35, 0.2)
_EPOCHS = {"root_nin": 2, "root_resnet20": 5}  # over all training images
_OTHERS = 3  # epochs of other networks
_FITTED = 500  # images that groups and ranks are chosen and fitted by
_FEW = Distil("few", epochs=5, images=2000)
_TRAINED = {
    "distilled": FineTuning(distillation=1.0, distillation_only=True),
    "finetuned": FineTuning(distillation=0.0),
}


def table(names: Sequence[str] = NETWORKS, dataset: str = "cifar10") -> Table:
    """Returns the table of some networks.

    Args:
        names: Names of released networks, `.keras` files, or folders of trainings.
        dataset: Name of the data set that they were trained on.

    Raises:
        ValueError: Such a network is not released, or there is no such file.
    """
    rows = tuple(row for name in names for row in _rows_of(name, dataset))
    return Table(
        rows=rows,
        columns=columns,
        shown=_SHOWN,
        measure=measure,
        of_networks=table,
    )


def _rows_of(text, dataset) -> list[Row]:
    network, weights, label, family = _find(text, dataset)
    short = re.sub(r"[^\w.]+", "-", label.removesuffix(":1"))
    baseline = Keep("baseline")
    labels = {"network": label, "cost": None, "part": 1.0}
    rows = [Row(short, network, weights, (baseline,), labels)]
    recipe = falling(family, _EPOCHS.get(family, _OTHERS), dataset)
    trainings = [
        FineTune(name, recipe=recipe, settings=settings, start="decompose")
        for name, settings in _TRAINED.items()
    ]
    for cost in COSTS:
        for part in PARTS:
            how = Budget(part, cost, quantize="none", recalibration_images=_FITTED)
            stages = (baseline, MeetBudget(settings=how), _FEW, *trainings)
            labels = {"network": label, "cost": cost, "part": part}
            rows.append(Row(f"{short}-{cost}-{part}", network, weights, stages, labels))
    return rows


def _find(text, dataset) -> tuple[str, str | None, str, str]:
    """A network's file or registry name, its weights, label and family."""
    path = Path(text)
    if path.is_dir() and not checks.is_bare(text):
        path /= runs.MODEL
    if path.suffix == ".keras":
        if not path.is_file():
            raise ValueError(
                "`networks` must name .keras files that exist, folders that hold a "
                f"{runs.MODEL}, or released networks. Received: {text!r}"
            )
        label = path.resolve().parent.name if path.name == runs.MODEL else path.stem
        return str(path), None, label, label
    weights = dataset.partition("/")[0]
    released = list_models(weights=weights)
    name = NetworkName.parse(text)
    if str(name) not in released:
        raise ValueError(
            "`networks` must name .keras files, folders of trainings, or networks that "
            f"are released for {weights}: {', '.join(released)}. Received: {text!r}"
            + (f"; write './{text}' for the folder" if path.is_dir() else "")
        )
    return str(name), weights, str(name), name.model


def columns(outcome: Outcome) -> dict:
    """Returns costs, and errors right after compressing and after each training.

    Args:
        outcome: What a row has left.
    """
    results = {name: outcome.result(name) for name in outcome.names}
    first = results.get("decompose", results["baseline"])
    full = results.get("finetuned") or results.get("distilled", {})
    few = results.get("few", {})
    refused = refusal(outcome.folder)
    return {
        "macs": first.get("macs"),
        "params": first.get("params"),
        "error": error_of(first),
        "few_error": error_of(few),
        **{f"{name}_error": error_of(results.get(name)) for name in _TRAINED},
        "few_epochs": few.get("epochs"),
        "few_images": _FEW.images if few else None,
        "epochs": full.get("epochs"),
        "train_images": full.get("train_images"),
        "images": results["baseline"].get("images"),
        "refused": refused and refused.partition(". Received")[0],
    }


def measure(
    models: Mapping[str, keras.Model], dataset: data.Dataset
) -> dict[str, dict]:
    """Measures the time of float32 LiteRT files, each network's in turns.

    Args:
        models: Networks by names of rows, each original before what was made of it.
        dataset: Not needed: times do not depend on what images show.

    Returns:
        By name `float32_ms`, on one thread, and `float32_ratio`, over the original's.

    Raises:
        ImportError: TensorFlow or LiteRT is not installed.
    """
    del dataset
    families = {}
    for name, model in models.items():
        original = re.sub(rf"-({'|'.join(COSTS)})-[\d.]+$", "", name)
        families.setdefault(original, {})[name] = model
    found = {}
    for family in families.values():
        cases = {n: benchmarking.Case(m, optimize="latency") for n, m in family.items()}
        times = benchmarking.compare(cases, runs=100)
        for name, latency in zip(cases, times, strict=True):
            found[name] = {
                "float32_ms": rounded(latency.median_ms),
                "float32_ratio": rounded(latency.ratio),
            }
    return found


_SHOWN = {
    "network": ("network", "`{}`"),
    "cost": ("cost", "{}"),
    "part": ("part", "{}"),
    "macs": ("multiply-adds", "{:,}"),
    "params": ("parameters", "{:,}"),
    "float32_ratio": ("LiteRT float32, part of the time", "{:.2f}"),
    "error": ("error, untrained", "{:.2%}"),
    "few_error": (f"{_FEW.images:,} images, no labels", "{:.2%}"),
    "distilled_error": ("all training images, no labels", "{:.2%}"),
    "finetuned_error": ("all, with labels", "{:.2%}"),
    "epochs": ("epochs", "{}"),
    "refused": ("", "{}"),
}

TABLE = table()
