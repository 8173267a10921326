"""How many filter groups each layer is to get: by stage, or by name."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from keras_roots.groups.stages import Spatial
from keras_roots.models import groups_per_stage
from keras_roots.utils import checks

Root = int | Sequence[int] | Mapping[str, int]


def check_root(root: Root, layers) -> Root:
    """Checks the part of `root` that needs no layers.

    Args:
        root: Groups of the first stage, of every stage, or of layers by name; an array
            counts as a sequence.
        layers: As for `rootify`.

    Returns:
        The same, a sequence where it was an array.

    Raises:
        ValueError: It gives groups by name although `layers` are given, or groups that
            are no positive integers.
    """
    if isinstance(root, np.ndarray):
        return root.tolist()
    if not isinstance(root, Mapping):
        return root
    if layers is not None:
        raise ValueError(
            "`root` that gives groups by name chooses the layers: leave out `layers`. "
            f"Received: layers={layers!r}"
        )
    for name, groups in root.items():
        checks.integer(f"root[{name!r}]", groups)
    return root


def requested_groups(
    spatial: Sequence[Spatial], root: Root, topology: str
) -> tuple[list[Spatial], dict[str, int]]:
    """Returns the groups that each layer is to get.

    Args:
        spatial: The spatial convolutions of a model.
        root: Groups of the first stage, of every stage, or of layers by name.
        topology: How groups go on from stage to stage.

    Returns:
        The layers, of which those with a name in `root` are chosen if it has names, and
        the groups of each by name.

    Raises:
        ValueError: `root` names other layers, or is impossible as a schedule.
    """
    if not isinstance(root, Mapping):
        stages = 1 + max(layer.stage for layer in spatial)
        of_stage = groups_per_stage(root, stages, topology)
        return list(spatial), {s.name: of_stage[s.stage] for s in spatial}
    groups_per_stage(1, 1, topology)  # checks `topology`, which is not used
    able = [s for s in spatial if not s.obstacle]
    unknown = set(root).difference(*((s.name, s.layer.name) for s in able))
    if unknown or not root:
        raise ValueError(
            "`root` that gives groups by name must name spatial convolutions to group, "
            f"other than the first: {', '.join(s.name for s in able)}. "
            f"Received: {', '.join(sorted(map(repr, unknown))) or 'no names'}"
        )
    groups = {s.name: root.get(s.name, root.get(s.layer.name)) for s in spatial}
    spatial = [
        dataclasses.replace(s, chosen=groups[s.name] is not None) for s in spatial
    ]
    return spatial, {name: count or 1 for name, count in groups.items()}
