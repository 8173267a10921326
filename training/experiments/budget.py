"""Groups layer by layer under a budget, against one schedule for all, at equal cost.

Each schedule of Ioannou et al. (Deep Roots, CVPR 2017), groups that halve from stage to
stage, costs so many multiply-adds, or milliseconds; for the same cost, groups are
chosen layer by layer (`plan_rootify(budget=...)`), which the paper leaves to future
work, by what the network answers to training images or by the energy of kernels.
Kernels are fitted by least squares to what the dense network answers, BatchNorm's
statistics are estimated anew, and some are trained on for a few epochs. Errors are on
the test images; groups are chosen on training images, but the way to choose them was
settled on with ResNet-20's test errors in view.
"""

from collections.abc import Mapping

import keras

from keras_roots import benchmarking
from keras_roots.benchmarking import Case
from keras_roots.training import data, evaluation
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import (
    Grouped,
    Outcome,
    Row,
    Trained,
    Whole,
    error_of,
    falling,
    rounded,
)

_EPOCHS = 2
_RUNS = 200  # timed calls of each network

# Name, registry name, whether 1x1s are added, groups of the first stage, and those of
# them that are trained and held against a budget of time too.
NETWORKS = (
    ("nin", "root_nin", False, (4, 8, 16), 8),
    ("resnet20", "root_resnet20", True, (2, 4, 8), 4),
)
# How groups are chosen: label, and fields of the stage.
CHOICES = {
    "uniform": {},
    "macs": {"budget": "macs"},
    "macs-energy": {"budget": "macs", "judged": "energy"},
    "latency": {"budget": "latency"},
}


def _rows() -> tuple[Row, ...]:
    rows = []
    for short, model, mix, roots, trained in NETWORKS:
        network = f"{model}:1"
        labels = {"network": network, "root": 1, "choice": "dense"}
        rows.append(Row(f"{short}-dense", network, "cifar10", (Whole(),), labels))
        for root in roots:
            for choice, fields in CHOICES.items():
                if choice == "latency" and root != trained:
                    continue
                stages = (Grouped(groups=root, mix=mix, **fields),)
                if root == trained:
                    stages += (Trained(recipe=falling(model, _EPOCHS)),)
                labels = {"network": network, "root": root, "choice": choice}
                name = f"{short}-{root}-{choice}"
                rows.append(Row(name, network, "cifar10", stages, labels))
    return tuple(rows)


def columns(outcome: Outcome) -> dict:
    """Returns groups, costs, and errors before and after training.

    Args:
        outcome: What a row has left.
    """
    first, *later = (outcome.result(stage.name) for stage in outcome.row.stages)
    trained = later[0] if later else {}
    return {
        "layer_groups": " ".join(map(str, first.get("layer_groups", {}).values())),
        "macs": first["macs"],
        "params": first["params"],
        "budget": rounded(first.get("budget")),
        "predicted": rounded(first.get("predicted")),
        "error": error_of(first),
        "trained_error": error_of(trained),
        "epochs": trained.get("epochs", 0),
        "images": first["images"],
    }


def measure(
    models: Mapping[str, keras.Model], dataset: data.Dataset
) -> dict[str, dict]:
    """Measures all networks in LiteRT, float32, one thread, in turns.

    Args:
        models: The networks.
        dataset: Not used.

    Returns:
        Milliseconds by name: median, and the ratio to the first of the same network.

    Raises:
        ImportError: TensorFlow or LiteRT is not installed.
    """
    del dataset
    optimize = evaluation.EXPORT["optimize"]
    cases = {name: Case(model, optimize=optimize) for name, model in models.items()}
    times = benchmarking.compare(cases, runs=_RUNS)
    found, dense = {}, None
    for name, time in zip(models, times, strict=True):
        if name.endswith("-dense"):
            dense = time.median_ms
        found[name] = {
            "litert_float32_ms": round(time.median_ms, 4),
            "litert_float32_ratio": round(time.median_ms / dense, 4),
            "processor": time.processor,
        }
    return found


TABLE = Table(
    rows=_rows(),
    columns=columns,
    shown={
        "network": ("network", "`{}`"),
        "root": ("root", "{}"),
        "choice": ("groups by", "{}"),
        "layer_groups": ("groups", "{}"),
        "macs": ("multiply-adds", "{:,}"),
        "predicted": ("predicted cost", "{:.3f}"),
        "error": ("error, untrained", "{:.2%}"),
        "trained_error": (f"after {_EPOCHS} epochs", "{:.2%}"),
        "litert_float32_ratio": ("LiteRT float32, measured", "{:.2f}"),
    },
    measure=measure,
)
