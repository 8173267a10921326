"""Rewrites of a model that keep what it computes and make it run faster in LiteRT."""

import dataclasses
import os
from collections.abc import Callable, Sequence

import keras

from keras_roots import graph
from keras_roots.convolutions import MeasuredTimes
from keras_roots.export import group_times, packing, targets
from keras_roots.export.rewrites.auxiliary import drop_auxiliary_heads
from keras_roots.export.rewrites.normalization import merge_normalization
from keras_roots.export.rewrites.pooling import convolve_average_pools
from keras_roots.export.rewrites.projections import merge_projections
from keras_roots.export.rewrites.stem import widen_stem
from keras_roots.export.rewrites.transposed import convolve_transposed


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """A rewrite that keeps a model's outputs up to rounding.

    Attributes:
        apply: Function of a model, the target's tile and measured times (or `None`), to
            a rewritten copy and, by name of layer, what changed.
        dtypes: Arithmetic with which it makes models faster.
    """

    apply: Callable
    dtypes: tuple[str, ...] = targets.DTYPES


# In the order in which they are applied.
REWRITES = {
    "drop_auxiliary_heads": Rewrite(lambda model, *_: drop_auxiliary_heads(model)),
    "merge_projections": Rewrite(lambda model, *_: merge_projections(model)),
    "merge_normalization": Rewrite(lambda model, *_: merge_normalization(model)),
    "convolve_transposed": Rewrite(lambda model, *_: convolve_transposed(model)),
    "widen_stem": Rewrite(lambda model, tile, _: widen_stem(model, tile)),
    "convolve_average_pools": Rewrite(
        lambda model, *_: convolve_average_pools(model), ("int8",)
    ),
    "pack_groups": Rewrite(
        lambda model, tile, curves: packing.pack(
            model, packing.fastest_merge(tile, curves)
        )
    ),
}
LATENCY = "latency"
CHOICES = (LATENCY, *REWRITES)


def names(optimize: str | Sequence[str] | None, dtype: str) -> tuple[str, ...]:
    """Returns the rewrites that are asked for, in the order to apply them.

    Args:
        optimize: `None` for none, `"latency"` for those that make models of this type
            faster, or names of rewrites.
        dtype: How the model will run.

    Raises:
        ValueError: There is no such rewrite.
    """
    listed = isinstance(optimize, Sequence) and not isinstance(optimize, str)
    wanted = () if optimize is None else tuple(optimize) if listed else (optimize,)
    if not all(name in CHOICES for name in wanted):
        raise ValueError(
            f"`optimize` must be None, {LATENCY!r}, or some of {list(REWRITES)}. "
            f"Received: optimize={optimize!r}"
        )
    return tuple(
        name
        for name, rewrite in REWRITES.items()
        if name in wanted or (LATENCY in wanted and dtype in rewrite.dtypes)
    )


def rewrite(
    model: keras.Model,
    optimize: str | Sequence[str] | None,
    dtype: str = "float32",
    target: str = targets.HOST,
    latency_table: str | os.PathLike | MeasuredTimes | None = None,
) -> tuple[keras.Model, dict[str, dict[str, str]]]:
    """Applies rewrites to a model.

    Args:
        model: A functional or Sequential model. It stays as it is.
        optimize: As for `names`.
        dtype: How the model will run: `"float32"`, `"dynamic"` or `"int8"`.
        target: Instruction set that it will run on, a key of `TARGETS`, or `"host"`.
        latency_table: Times measured on that processor for `"pack_groups"`, as for the
            function of that name.

    Returns:
        The rewritten model, the model itself if nothing changes; and for each rewrite
        that changed something, the change of each layer.

    Raises:
        ValueError: An argument is impossible, or the model is subclassed.
    """
    wanted = names(optimize, dtype)
    tile = targets.tile_of(target, dtype)
    curves = group_times.read(latency_table, dtype)
    changes = {}
    if wanted:
        model = graph.expand_composites(model)
    for name in wanted:
        rewritten, changed = REWRITES[name].apply(model, tile, curves)
        if changed:
            model, changes[name] = rewritten, changed
    return model, changes
