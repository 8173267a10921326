"""Low ranks for the 1x1 convolutions that filter groups leave whole.

Two thirds of the multiply-adds of Network in Network with 8 groups (Ioannou et al.,
Deep Roots, CVPR 2017) are in its 1x1s. They are decomposed by what they answer, for
several parts of the whole network's multiply-adds, as it is released and after force
regularization of the 1x1s alone (Wen et al., Coordinating Filters, ICCV 2017), and
trained on; beside the forced network stands one with the same epochs of plain training.
Errors are on the test images, on which nothing was chosen.
"""

from collections.abc import Mapping

import keras

from keras_roots.training import data
from keras_roots.training.evaluation import measure_files
from keras_roots.training.experiments.rows import Row, error_of, falling, rounded
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import (
    Decompose,
    Decomposition,
    Force,
    Forces,
    Keep,
    Outcome,
    Train,
)

_MODEL, _NETWORK = "root_nin", "root_nin:8"
_EPOCHS = 2  # of every training
_LAYERS = "pointwise"
_STRENGTH = 1e-4
_RECIPE = falling(_MODEL, _EPOCHS)

# What comes before decomposing.
BEFORE = {
    "none": (),
    "force": (
        Force(recipe=_RECIPE, forces=Forces(strength=_STRENGTH, layers=_LAYERS)),
    ),
    "training": (Train("before", recipe=_RECIPE),),
}
# Part of the multiply-adds that is left, and a key of `BEFORE`.
DECOMPOSED = (
    (0.85, "none"),
    (0.7, "none"),
    (0.55, "none"),
    (0.7, "training"),
    (0.7, "force"),
)


def _rows() -> tuple[Row, ...]:
    rows = [Row("whole", _NETWORK, "cifar10", (Keep(),), _labels(1.0, "none"))]
    for part, before in DECOMPOSED:
        how = Decomposition(budget=part, method=("responses",), layers=_LAYERS)
        stages = (*BEFORE[before], Decompose(settings=how), Train(recipe=_RECIPE))
        name = f"{part}" if before == "none" else f"{part}-{before}"
        rows.append(Row(name, _NETWORK, "cifar10", stages, _labels(part, before)))
    return tuple(rows)


def _labels(part, before) -> dict:
    return {"network": _NETWORK, "part": part, "before": before}


def columns(outcome: Outcome) -> dict:
    """Returns ranks, costs, and errors right after decomposing and trained on.

    Args:
        outcome: What a row has left.
    """
    results = {name: outcome.result(name) for name in outcome.names}
    first = results.get("whole") or results["decompose"]
    trained = results.get("trained")
    costs = first or outcome.last()
    return {
        "mean_rank_ratio": rounded(first.get("mean_rank_ratio")),
        "macs": costs["macs"],
        "params": costs["params"],
        "error": error_of(first),
        "trained_error": error_of(trained),
        "epochs": sum(result.get("epochs", 0) for result in results.values()),
        "images": costs["images"],
    }


def measure(
    models: Mapping[str, keras.Model], dataset: data.Dataset
) -> dict[str, dict]:
    """Measures all networks as LiteRT files, relative to the whole one's in float32.

    Args:
        models: The networks, the whole one first.
        dataset: The data set, for errors and for calibrating int8 files.

    Raises:
        ImportError: TensorFlow or LiteRT is not installed.
    """
    return measure_files(models, dataset)


TABLE = Table(
    rows=_rows(),
    columns=columns,
    shown={
        "part": ("part of the multiply-adds", "{}"),
        "before": ("before decomposing", "{}"),
        "mean_rank_ratio": ("mean rank of the 1x1s", "{:.0%}"),
        "macs": ("multiply-adds", "{:,}"),
        "params": ("parameters", "{:,}"),
        "error": ("error, untrained", "{:.2%}"),
        "trained_error": (f"after {_EPOCHS} epochs", "{:.2%}"),
        "litert_float32_ms": ("LiteRT float32, ms", "{:.2f}"),
        "litert_float32_ratio": ("ratio", "{:.2f}"),
        "litert_int8_ms": ("int8, ms", "{:.2f}"),
        "litert_int8_ratio": ("ratio to float32", "{:.2f}"),
        "litert_int8_error": ("int8, error", "{:.2%}"),
    },
    measure=measure,
)
