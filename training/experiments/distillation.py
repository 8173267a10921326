"""What distillation without labels wins back, at several parts of the multiply-adds.

Filter groups and ranks are chosen and fitted by training images of CIFAR-10, and the
network is then trained on the answers of the original to such images, without their
labels. Errors are on the test images, on which nothing was chosen.
"""

from keras_roots.training.experiments.rows import Row, error_of
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import Budget, Distil, Keep, MeetBudget, Outcome

NETWORKS = ("root_nin:1", "root_resnet20:1")
BUDGETS = (0.5, 0.35, 0.2)  # parts of the multiply-adds
_FITTED = 500  # images that groups and ranks are chosen and fitted by
_DISTIL = Distil(epochs=5, images=2000)


def _rows() -> tuple[Row, ...]:
    rows = []
    for network in NETWORKS:
        family = network.partition(":")[0]
        labels = {"network": network, "part": 1.0}
        rows.append(Row(family, network, "cifar10", (Keep("baseline"),), labels))
        for budget in BUDGETS:
            how = Budget(budget=budget, cost="macs", recalibration_images=_FITTED)
            stages = (Keep("baseline"), MeetBudget(settings=how), _DISTIL)
            labels = {"network": network, "part": budget}
            name = f"{family}-{budget}"
            rows.append(Row(name, network, "cifar10", stages, labels))
    return tuple(rows)


def columns(outcome: Outcome) -> dict:
    """Returns costs, and errors right after compressing and after distillation.

    Args:
        outcome: What a row has left.
    """
    results = {name: outcome.result(name) for name in outcome.names}
    first = results.get("decompose", results["baseline"])
    trained = results.get("finetune", {})
    costs = first or results["baseline"]
    return {
        "macs": costs["macs"],
        "params": costs["params"],
        "error": error_of(first),
        "trained_error": error_of(trained),
        "epochs": trained.get("epochs", 0),
        "images": costs["images"],
    }


TABLE = Table(
    rows=_rows(),
    columns=columns,
    shown={
        "network": ("network", "{}"),
        "part": ("part of the multiply-adds", "{}"),
        "macs": ("multiply-adds", "{:,}"),
        "params": ("parameters", "{:,}"),
        "error": ("error, untrained", "{:.2%}"),
        "trained_error": (
            f"after {_DISTIL.epochs} epochs on {_DISTIL.images:,} images",
            "{:.2%}",
        ),
    },
)
