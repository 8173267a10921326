"""What is asked of `rootify`: groups by stage or by name of layer, and a seed."""

import dataclasses
import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from keras_roots.groups.stages import Spatial
from keras_roots.models import groups_per_stage


def check_root(root, layers, budget):
    """Returns `root`, after checking what can be checked without the layers.

    Args:
        root: As for `rootify`; an array counts as a sequence.
        layers: As for `rootify`.
        budget: As for `rootify`.

    Raises:
        ValueError: It gives groups by name, and other arguments say so too, or they are
            no positive integers.
    """
    if isinstance(root, np.ndarray):
        return root.tolist()
    if not isinstance(root, Mapping):
        return root
    if layers is not None or budget is not None:
        raise ValueError(
            "`root` that gives groups by name says all: leave out `layers` and "
            f"`budget`. Received: layers={layers!r}, budget={budget!r}"
        )
    for name, groups in root.items():
        if not is_integer(groups) or groups < 1:
            raise ValueError(
                "`root` must give layers a positive integer. "
                f"Received: root[{name!r}]={groups!r}"
            )
    return root


def ask(
    spatial: Sequence[Spatial], root, topology: str
) -> tuple[list[Spatial], dict[str, int]]:
    """Returns layers, those chosen that groups are given for, and what each shall get.

    Args:
        spatial: The spatial convolutions of a model.
        root: Groups of the first stage, of every stage, or of layers by name.
        topology: How groups go on from stage to stage.

    Raises:
        ValueError: `root` names other layers, or is impossible as a schedule.
    """
    if not isinstance(root, Mapping):
        stages = 1 + max(layer.stage for layer in spatial)
        of_stage = groups_per_stage(root, stages, topology)
        return list(spatial), {s.name: of_stage[s.stage] for s in spatial}
    groups_per_stage(1, 1, topology)  # which must be one even so
    unknown = set(root).difference(*((s.name, s.layer.name) for s in spatial))
    if unknown or not root:
        raise ValueError(
            "`root` that gives groups by name must name spatial convolutions to group, "
            f"other than the first: {', '.join(s.name for s in spatial)}. "
            f"Received: {', '.join(sorted(map(repr, unknown))) or 'no names'}"
        )
    groups = {s.name: root.get(s.name, root.get(s.layer.name)) for s in spatial}
    spatial = [
        dataclasses.replace(s, chosen=groups[s.name] is not None) for s in spatial
    ]
    return spatial, {name: count or 1 for name, count in groups.items()}


def check_seed(seed: int | None) -> None:
    """Checks a seed; `None` is for another one each time.

    Raises:
        ValueError: It is no integer, or negative.
    """
    if seed is not None and not (is_integer(seed) and seed >= 0):
        raise ValueError(
            f"`seed` must be an integer, 0 or more. Received: seed={seed!r}"
        )


def is_integer(value) -> bool:
    """Returns whether a value is an integer, of Python or NumPy, and no truth value."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
