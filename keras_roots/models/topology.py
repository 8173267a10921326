"""Filter-group schedules: how many groups each stage of a network gets.

Deep Roots (CVPR 2017), section 3: groups halve with depth ("root"), stay the same
("column") or double ("tree").
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from keras_roots.utils import checks

TOPOLOGIES = {
    "root": lambda root, stage: max(1, root >> stage),
    "column": lambda root, stage: root,
    "tree": lambda root, stage: root << stage if root > 1 else 1,
}


class Grouped(NamedTuple):
    """A spatial convolution that takes filter groups.

    Attributes:
        name: Layer name.
        stage: Index of the stage whose group count it uses.
        channels: Input channels.
        filters: Output channels.
    """

    name: str
    stage: int
    channels: int
    filters: int


def groups_per_stage(
    root: int | Sequence[int], stages: int, topology: str = "root"
) -> tuple[int, ...]:
    """Returns the number of filter groups of each stage.

    Args:
        root: Groups of the first stage (1 is the dense network), or one group count
            per stage, which `topology` then leaves alone.
        stages: Number of stages.
        topology: `"root"`, `"column"` or `"tree"`.

    Raises:
        ValueError: `root` is not a positive integer or a sequence of `stages` of
            them, or `topology` is unknown.
    """
    checks.choice("topology", topology, sorted(TOPOLOGIES))
    stages = checks.integer("stages", stages)
    if isinstance(root, Sequence) and not isinstance(root, str | bytes):
        if len(root) != stages or not all(map(_is_count, root)):
            raise ValueError(
                f"`root` as a sequence must hold {stages} positive integers, one "
                f"group count per stage. Received: root={root!r}"
            )
        return tuple(int(groups) for groups in root)
    if not _is_count(root):
        raise ValueError(
            "`root` must be a positive integer (1 is the dense network) or a tuple of "
            f"{stages} of them. Received: root={root!r}"
        )
    return tuple(TOPOLOGIES[topology](int(root), stage) for stage in range(stages))


def assign_groups(
    root: int | Sequence[int], layers: Sequence[Grouped], topology: str = "root"
) -> tuple[int, ...]:
    """Returns the groups of each stage, after checking them against the layers.

    Args:
        root: As for `groups_per_stage`.
        layers: Every grouped convolution of the network.
        topology: As for `groups_per_stage`.

    Raises:
        ValueError: As `groups_per_stage`, or a group count does not divide a layer's
            channels; the message names the layer and the roots that work.
    """
    stages = 1 + max(layer.stage for layer in layers)
    groups = groups_per_stage(root, stages, topology)
    for layer in layers:
        if _common_channels(layer) % groups[layer.stage]:
            raise ValueError(
                f"`root` must give every layer groups that divide its channels. "
                f"Received: root={root!r}, topology={topology!r}, which gives layer "
                f"{layer.name!r} {groups[layer.stage]} groups for {layer.channels} "
                f"input channels and {layer.filters} filters. "
                + _what_works(root, layers, layer, topology)
            )
    return groups


def _is_count(value) -> bool:
    return checks.is_integer(value) and value >= 1


def _common_channels(layer: Grouped) -> int:
    return math.gcd(layer.channels, layer.filters)


def _what_works(root, layers, failed, topology) -> str:
    if isinstance(root, Sequence):
        common = math.gcd(
            *(
                _common_channels(layer)
                for layer in layers
                if layer.stage == failed.stage
            )
        )
        counts = [count for count in range(1, common + 1) if common % count == 0]
        return f"Groups that work for stage {failed.stage}: {counts}"
    widest = max(_common_channels(layer) for layer in layers)
    rule = TOPOLOGIES[topology]
    roots = [
        candidate
        for candidate in range(1, widest + 1)
        if all(
            _common_channels(layer) % rule(candidate, layer.stage) == 0
            for layer in layers
        )
    ]
    return f"Roots that work: {roots}"
