"""Filter groups for trained networks: what carrying weights over is worth.

Dense networks trained on CIFAR-10 get filter groups (Ioannou et al., Deep Roots, CVPR
2017, who train them from scratch) with their weights carried over in three ways, and
are trained on; beside them the same networks trained from scratch, for as many epochs.
The learning rate falls to zero over the run, from a fifth of the recipe's; from scratch
it is the recipe's own, with its warm-up. Errors are on the test images, on which
nothing was chosen: neither rates nor lengths nor the epochs shown.
"""

from collections.abc import Sequence
from pathlib import Path

from keras_roots.analysis import figures
from keras_roots.training.experiment_rows import Outcome, Row
from keras_roots.training.experiment_stages import (
    Fresh,
    Grouped,
    Trained,
    Whole,
    falling,
    rising,
)
from keras_roots.training.experiment_tables import Table

EPOCHS = (1, 3, 10)  # after which errors are shown

# Name, registry name, groups of the first stage, whether 1x1s are added.
NETWORKS = (
    ("nin", "root_nin", 8, False),
    ("resnet20", "root_resnet20", 4, True),
)
CARRY_OVER = ("slice", "energy", "responses")


def _rows() -> tuple[Row, ...]:
    rows = []
    for short, model, groups, mix in NETWORKS:
        network = f"{model}:1"
        labels = {"network": network, "groups": groups}
        dense = {"network": network, "groups": 1, "start": "dense, as it was"}
        rows.append(Row(f"{short}-dense", network, "cifar10", (Whole(),), dense))
        training = Trained(recipe=falling(model, EPOCHS[-1]))
        for how in CARRY_OVER:
            grouped = Grouped(groups=groups, mix=mix, carry_over=how)
            stages = (grouped, training)
            start = labels | {"start": how}
            rows.append(Row(f"{short}-{how}", network, "cifar10", stages, start))
        stages = (Fresh(groups=groups, mix=mix),)
        stages += (Trained(recipe=rising(model, EPOCHS[-1])),)
        start = labels | {"start": "scratch"}
        rows.append(Row(f"{short}-scratch", network, None, stages, start))
    return tuple(rows)


def columns(outcome: Outcome) -> dict:
    """Returns multiply-adds, and errors right after the start and later on.

    Args:
        outcome: What a row has left.
    """
    errors = dict(_curve(outcome))
    last = outcome.last()
    return {
        "macs": last["macs"],
        "params": last["params"],
        "error_0": errors[0],
        **{f"error_{epoch}": errors.get(epoch) for epoch in EPOCHS},
        "epochs": last.get("epochs", 0),
        "images": last["images"],
    }


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draws error against epoch, one panel per network.

    Args:
        outcomes: What the rows have left.
        path: Picture to write.

    Raises:
        ImportError: matplotlib is not installed.
    """
    networks = list(dict.fromkeys(outcome.row.network for outcome in outcomes))
    looks = figures.styles([*CARRY_OVER, "scratch"])
    figure, panels = figures.panels(len(networks), 4.6, 3.6)
    for axes, network in zip(panels, networks, strict=True):
        figures.style_axes(axes)
        for outcome in outcomes:
            if outcome.row.network == network:
                _draw_curve(axes, outcome, looks)
        axes.set_title(network)
        axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel("error on the test images (%)")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.legend(fontsize=8, frameon=False)
    figures.save(figure, path)


def _draw_curve(axes, outcome, looks):
    start = outcome.row.labels["start"]
    epochs, errors = zip(*_curve(outcome), strict=True)
    percents = [100 * error for error in errors]
    if start not in looks:
        axes.axhline(percents[0], color="#888888", linestyle=":", label="dense")
        return
    look = looks[start]
    axes.plot(
        epochs,
        percents,
        look.line,
        color=look.color,
        marker=look.marker,
        markersize=4,
        label=start,
    )


def _curve(outcome) -> list[tuple[int, float]]:
    """Epochs and errors: 0 is before training."""
    first = outcome.result(outcome.row.stages[0].name)
    return [
        (0, round(1 - first["top1"], 4)),
        *(
            (int(row["epoch"]), round(1 - float(row["val_accuracy"]), 4))
            for row in outcome.log(outcome.row.stages[-1].name)
        ),
    ]


TABLE = Table(
    rows=_rows(),
    columns=columns,
    shown={
        "network": ("network", "`{}`"),
        "start": ("weights", "{}"),
        "macs": ("multiply-adds", "{:,}"),
        "error_0": ("error, untrained", "{:.2%}"),
        **{f"error_{n}": (f"{n} epoch{'s' * (n > 1)}", "{:.2%}") for n in EPOCHS},
    },
    draw=draw,
)
