"""Everything together: which ways to a cheaper network are worth their time.

Trained dense networks get filter groups (Ioannou et al., Deep Roots, CVPR 2017), lower
ranks with and without force regularization (Wen et al., Coordinating Filters, ICCV
2017), both, pruning, or what one budget for groups and ranks gives each layer, and are
trained on for a few epochs each time. Every network is measured as a float32 and as an
int8 LiteRT file on one thread. The mark to beat: the dense network's error at a quarter
of its float32 latency. Errors are on the test images, on which nothing was chosen.

Network in Network starts with the groups of its released root network, and then gets
lower ranks for its 1x1s, where most of what is left is computed. ResNet-20 gets groups,
and 1x1s that mix them; those are a tenth of it, so lower ranks are for all its layers.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from keras_roots.lowrank import BY_RESPONSES
from keras_roots.training import data, evaluation
from keras_roots.training.experiments import points
from keras_roots.training.experiments.rows import Row, error_of, falling
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import (
    Budget,
    Decompose,
    Decomposition,
    Force,
    Forces,
    Group,
    Groups,
    Keep,
    MeetBudget,
    Outcome,
    Prune,
    Stage,
    Train,
)

_STRENGTH = 1e-4
_SPARSITY = 0.5


@dataclasses.dataclass(frozen=True)
class Network:
    """What is tried with a network.

    Attributes:
        short: Name of the network in names of rows.
        model: Registry name.
        epochs: Of every training.
        root: Registry name with the groups that root networks start from.
        grouping: What gives it its groups, before it is trained on; `None` where the
            root network is released.
        low_rank: Part of the multiply-adds that lower ranks leave of the dense one.
        root_rank: Part of those of the root network that lower ranks leave.
        root_layers: Layers of the root network that get lower ranks.
        budgets: Parts of the multiply-adds for groups and ranks together.
    """

    short: str
    model: str
    epochs: int
    root: str
    grouping: Group | None
    low_rank: float
    root_rank: float
    root_layers: str
    budgets: tuple[float, ...]


NETWORKS = (
    Network(
        short="nin",
        model="root_nin",
        epochs=2,
        root="root_nin:8",
        grouping=None,
        low_rank=0.46,
        root_rank=0.7,
        root_layers="pointwise",
        budgets=(0.46, 0.3),
    ),
    Network(
        short="resnet20",
        model="root_resnet20",
        epochs=3,
        root="root_resnet20:1",
        grouping=Group(settings=Groups(groups=4, mix=True, carry_over="responses")),
        low_rank=0.6,
        root_rank=0.75,
        root_layers="all",
        budgets=(0.6, 0.4),
    ),
)


def _rows() -> tuple[Row, ...]:
    return tuple(
        Row(
            f"{network.short}-{choice.replace(' + ', '-').replace(' ', '-')}",
            start,
            "cifar10",
            stages,
            {"network": f"{network.model}:1", "choice": choice},
        )
        for network in NETWORKS
        for choice, (start, stages) in _choices(network).items()
    )


def _choices(network) -> dict[str, tuple[str, tuple[Stage, ...]]]:
    """Where each choice starts, and its stages."""
    dense, root = f"{network.model}:1", network.root
    recipe = falling(network.model, network.epochs)
    grouping, layers = (), network.root_layers
    if network.grouping:
        grouping = (network.grouping, Train("rooted", recipe=recipe))
    trained = Train(recipe=recipe)
    ranks = _decompose(network.low_rank, "all")
    root_ranks = _decompose(network.root_rank, layers)
    force = _force(recipe, "all")
    root_force = _force(recipe, layers)
    everything = (*grouping, root_force, root_ranks, trained)
    pruning = (Prune(sparsity=_SPARSITY), Train("retrained", recipe=recipe))
    budgets = {
        f"budget {part}": (dense, (_meet_budget(part), trained))
        for part in network.budgets
    }
    return {
        "dense": (dense, (Keep(),)),
        "root": (root, grouping or (Keep(),)),
        "rank": (dense, (ranks, trained)),
        "force + rank": (dense, (force, ranks, trained)),
        "root + rank": (root, (*grouping, root_ranks, trained)),
        "root + force + rank": (root, everything),
        "root + force + rank + pruned": (root, everything + pruning),
        **budgets,
    }


def _decompose(part, layers) -> Decompose:
    how = Decomposition(budget=part, method=BY_RESPONSES, layers=layers)
    return Decompose(settings=how)


def _force(recipe, layers) -> Force:
    return Force(recipe=recipe, forces=Forces(strength=_STRENGTH, layers=layers))


def _meet_budget(part) -> MeetBudget:
    return MeetBudget(settings=Budget(budget=part, cost="macs"))


def columns(outcome: Outcome) -> dict:
    """Returns costs and error of the Keras network, and what it was trained for.

    Args:
        outcome: What a row has left.
    """
    results = [outcome.result(name) for name in outcome.names]
    last = outcome.last()
    return {
        "macs": last["macs"],
        "params": last["params"],
        "zeros": max(result.get("zeros", 0) for result in results),
        "error": error_of(last),
        "epochs": sum(result.get("epochs", 0) for result in results),
        "images": last["images"],
    }


def measure(
    models: Mapping[str, keras.Model], dataset: data.Dataset
) -> dict[str, dict]:
    """Measures each family's networks as LiteRT files, relative to its dense float32.

    Args:
        models: The networks by the names of the rows.
        dataset: The data set, for errors and for calibrating int8 files.

    Returns:
        By name the columns of `evaluation.measure_files`, and `on_frontier`: the
        formats in which no other file of the family is both faster and better.

    Raises:
        ImportError: TensorFlow or LiteRT is not installed.
    """
    networks = {row.name: row.labels["network"] for row in TABLE.rows}
    found = {}
    for network in dict.fromkeys(networks.values()):
        family = {name: m for name, m in models.items() if networks[name] == network}
        lines = evaluation.measure_files(family, dataset)
        best = points.frontier(points.points(lines))
        for name, line in lines.items():
            forms = [form.removeprefix("litert_") for own, form in best if own == name]
            found[name] = line | {"on_frontier": " ".join(sorted(forms))}
    return found


def draw(lines: Sequence[Mapping], path: Path) -> None:
    """Draws error against latency, one panel per network, the frontier joined.

    Args:
        lines: Lines of the table, of all rows, measured.
        path: Picture to write.

    Raises:
        ImportError: matplotlib is not installed.
    """
    panels = {}
    for line in lines:
        panels.setdefault(line["network"], {})[line["choice"]] = line
    points.draw(
        {name: points.points(family) for name, family in panels.items()},
        path,
    )


TABLE = Table(
    rows=_rows(),
    columns=columns,
    shown={
        "network": ("network", "`{}`"),
        "choice": ("way", "{}"),
        "macs": ("multiply-adds", "{:,}"),
        "epochs": ("epochs", "{}"),
        "litert_float32_error": ("float32, error", "{:.2%}"),
        "litert_float32_ratio": ("time over dense float32", "{:.2f}"),
        "litert_float32_zlib_bytes": ("bytes, zlib", "{:,}"),
        "litert_int8_error": ("int8, error", "{:.2%}"),
        "litert_int8_ratio": ("time over dense float32", "{:.2f}"),
        "litert_int8_zlib_bytes": ("bytes, zlib", "{:,}"),
        "on_frontier": ("on the frontier", "{}"),
    },
    draw=draw,
    drawn=points.COLUMNS,
    measure=measure,
)
