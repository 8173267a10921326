"""Filter groups for trained networks: what carrying weights over is worth.

Dense networks trained on CIFAR-10 get filter groups (Ioannou et al., Deep Roots, CVPR
2017, who train them from scratch) with their weights carried over in three ways, and
are trained on; beside them the same networks trained from scratch, for as many epochs.
The learning rate falls to zero over the run, from a fifth of the recipe's; from scratch
it is the recipe's own, with its warm-up. Errors are on the test images, on which
nothing was chosen: neither rates nor lengths nor the epochs shown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_roots import analysis
from keras_roots.training.experiments.rows import (
    Row,
    error_of,
    falling,
    rising,
    rounded,
)
from keras_roots.training.experiments.tables import Table
from keras_roots.training.stages import Fresh, Group, Groups, Keep, Outcome, Train

EPOCHS = (0, 1, 3, 10)  # after which errors are shown

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
        rows.append(Row(f"{short}-dense", network, "cifar10", (Keep(),), dense))
        training = Train(recipe=falling(model, EPOCHS[-1]))
        for how in CARRY_OVER:
            settings = Groups(groups=groups, mix=mix, carry_over=how)
            stages = (Group(settings=settings), training)
            start = labels | {"start": how}
            rows.append(Row(f"{short}-{how}", network, "cifar10", stages, start))
        settings = Groups(groups=groups, mix=mix, carry_over="none")
        stages = (Fresh(settings=settings),)
        stages += (Train(recipe=rising(model, EPOCHS[-1])),)
        start = labels | {"start": "scratch"}
        rows.append(Row(f"{short}-scratch", network, None, stages, start))
    return tuple(rows)


def columns(outcome: Outcome) -> dict:
    """Returns multiply-adds, and errors right after the start and later on.

    Args:
        outcome: What a row has left.
    """
    errors = {0: error_of(outcome.result(outcome.names[0]))}
    for line in outcome.log(outcome.names[-1]):
        errors[int(line["epoch"])] = rounded(1 - float(line["val_accuracy"]))
    last = outcome.last()
    return {
        "macs": last["macs"],
        "params": last["params"],
        **{f"error_{epoch}": errors.get(epoch) for epoch in EPOCHS},
        "epochs": last.get("epochs", 0),
        "images": last["images"],
    }


def draw(lines: Sequence[Mapping], path: Path) -> None:
    """Draws error against epoch, one panel per network.

    Args:
        lines: Lines of the table.
        path: Picture to write.

    Raises:
        ImportError: matplotlib is not installed.
    """
    networks = list(dict.fromkeys(line["network"] for line in lines))
    looks = analysis.styles([*CARRY_OVER, "scratch"])
    figure, panels = analysis.panels(len(networks), 4.6, 3.6)
    for axes, network in zip(panels, networks, strict=True):
        analysis.style_axes(axes)
        for line in lines:
            if line["network"] == network:
                _draw_curve(axes, line, looks)
        axes.set_title(network)
        axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel("error on the test images (%)")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.legend(fontsize=8, frameon=False)
    analysis.save(figure, path)


def _draw_curve(axes, line, looks):
    start = line["start"]
    percents = {
        epoch: 100 * line[f"error_{epoch}"]
        for epoch in EPOCHS
        if line.get(f"error_{epoch}") is not None
    }
    if start not in looks:
        axes.axhline(percents[0], color="#888888", linestyle=":", label="dense")
        return
    look = looks[start]
    axes.plot(
        list(percents),
        list(percents.values()),
        look.line,
        color=look.color,
        marker=look.marker,
        markersize=4,
        label=start,
    )


def _heading(epoch) -> str:
    return f"{epoch} epoch{'s' * (epoch > 1)}" if epoch else "error, untrained"


TABLE = Table(
    rows=_rows(),
    columns=columns,
    shown={
        "network": ("network", "`{}`"),
        "start": ("weights", "{}"),
        "macs": ("multiply-adds", "{:,}"),
        **{f"error_{epoch}": (_heading(epoch), "{:.2%}") for epoch in EPOCHS},
    },
    draw=draw,
)
