"""Measured time of convolutions, and of the two that would take their place."""

import os
from collections.abc import Mapping

from keras_roots.benchmarking import LatencyTable, specifications
from keras_roots.lowrank.candidates import Candidate


def measure(
    candidates: Mapping[str, Candidate],
    ranks: Mapping[str, int],
    table: str | os.PathLike | LatencyTable | None,
) -> dict[str, tuple[float, float]]:
    """Returns the milliseconds of layers, and of the two in the place of each.

    Args:
        candidates: The layers by name.
        ranks: Their ranks over all groups.
        table: Times measured before, or where to keep them; `None` to keep nothing.
    """
    if not isinstance(table, LatencyTable):
        table = LatencyTable(table)
    chains, owners = [], []
    for name, candidate in candidates.items():
        for whole, *factors in zip(
            specifications(candidate.convolution),
            *map(specifications, candidate.factors(ranks[name])),
            strict=True,
        ):
            chains += [(whole,), tuple(factors)]
            owners.append(name)
    ms = table.ms_many(chains)
    times: dict[str, tuple[float, float]] = {}
    for name, before, after in zip(owners, ms[::2], ms[1::2], strict=True):
        so_far = times.get(name, (0.0, 0.0))
        times[name] = so_far[0] + before, so_far[1] + after
    return times
