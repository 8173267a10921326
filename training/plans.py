"""Plans of filter groups and ranks, as rows in the folder of a run."""

import dataclasses
import os
from pathlib import Path

from keras_roots import utils
from keras_roots.convolutions import LayerPlan

PLAN = "plan.csv"
# Columns of a plan's rows that are numbers, always or perhaps.
_COUNTS = ("groups", "macs", "macs_after", "params", "params_after")
_PERHAPS = {
    "rank": int,
    "method": str,
    "error": float,
    "ms": float,
    "ms_after": float,
}


def write(directory: str | os.PathLike, plan) -> None:
    """Writes what a plan makes of each layer as `plan.csv`.

    Args:
        directory: An existing output directory.
        plan: A plan of filter groups or ranks, whose `.layers` are dataclasses.

    Raises:
        OSError: The file cannot be written.
    """
    rows = [dataclasses.asdict(layer) for layer in plan.layers]
    utils.write_csv(Path(directory, PLAN), rows)


def read(directory: str | os.PathLike) -> list[LayerPlan]:
    """Returns what `write` wrote; none where it wrote nothing.

    Args:
        directory: The output directory.

    Raises:
        OSError: The file cannot be read.
    """
    file = Path(directory, PLAN)
    rows = utils.read_csv(file) if file.exists() else []
    return [
        LayerPlan(
            name=row["name"],
            way=row["way"] or None,
            reason=row["reason"] or "",
            **{name: int(row[name]) for name in _COUNTS},
            **{
                name: kind(row[name]) if row.get(name) else None
                for name, kind in _PERHAPS.items()
            },
        )
        for row in rows
    ]
