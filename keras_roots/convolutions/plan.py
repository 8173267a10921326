"""What all plans share: a row per convolution, totals, and a table that prints."""

import abc
import dataclasses
from collections.abc import Callable
from typing import ClassVar

import keras

from keras_roots import graph
from keras_roots.utils import format_table

_OTHERS = (
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.Dense,
    keras.layers.EinsumDense,
)

Column = tuple[str, Callable[["LayerPlan"], str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerPlan:
    """What a plan makes of one convolution or Dense layer.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        way: `"groups"` or `"rank"`; `None` if the layer stays as it is.
        groups: Filter groups that it has then.
        rank: M, over all groups, that it has then; `None` if it is not decomposed.
        method: How it is decomposed, or would be: of `lowrank.METHODS`; `None` if that
            was not considered.
        error: Relative squared error, 0 to 1, of its kernel or of its responses; `None`
            if it was not computed.
        macs: Multiply-adds for one input, over all calls of the layer.
        macs_after: Those of what takes its place.
        params: Weights and biases.
        params_after: Those of what takes its place.
        ms: Measured milliseconds, where latency decides.
        ms_after: Those of what takes its place.
        reason: Why it stays; empty if it changes.
    """

    name: str
    way: str | None
    groups: int
    rank: int | None = None
    method: str | None = None
    error: float | None = None
    macs: int
    macs_after: int
    params: int
    params_after: int
    ms: float | None = None
    ms_after: float | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan(abc.ABC):
    """What would change in a model, and what that saves; prints as a table.

    Attributes:
        model: The model, with the parts of convolutions of other kinds as layers of
            their own (`graph.take_apart`).
        layers: A row per convolution or Dense layer that was considered, or that the
            plan shows.
        macs: Multiply-adds of the whole model for one input, as `profile` counts them.
        params: Its weights and biases.
        ms: Its measured milliseconds, where latency decides.
        original: The model before it was taken apart.
    """

    model: keras.Model = dataclasses.field(repr=False)
    layers: tuple[LayerPlan, ...]
    macs: int
    params: int
    ms: float | None = None
    original: keras.Model | None = dataclasses.field(
        default=None, repr=False, compare=False
    )

    # Columns of the table between the layer's name and its costs.
    columns: ClassVar[tuple[Column, ...]] = ()

    @abc.abstractmethod
    def apply(self) -> keras.Model:
        """Returns a changed copy of the model, functional, not compiled."""

    @property
    def macs_after(self) -> int:
        """Multiply-adds of the changed model."""
        return self.macs + sum(row.macs_after - row.macs for row in self.layers)

    @property
    def params_after(self) -> int:
        """Weights and biases of the changed model."""
        return self.params + sum(row.params_after - row.params for row in self.layers)

    @property
    def ms_after(self) -> float | None:
        """Milliseconds that the changed model is expected to take, if measured."""
        if self.ms is None:
            return None
        timed = [row for row in self.layers if row.ms is not None]
        return self.ms + sum(row.ms_after - row.ms for row in timed)

    @property
    def groups(self) -> dict[str, int]:
        """Layers that get filter groups, and how many."""
        return {row.name: row.groups for row in self.layers if row.way == "groups"}

    @property
    def ranks(self) -> dict[str, int]:
        """Layers that are decomposed, and their ranks."""
        return {row.name: row.rank for row in self.layers if row.way == "rank"}

    @property
    def methods(self) -> dict[str, str]:
        """Layers that are decomposed, and how."""
        return {row.name: row.method for row in self.layers if row.way == "rank"}

    @property
    def others(self) -> dict[str, str]:
        """Layers with kernels that are not in the plan, and what they are."""
        names = {row.name for row in self.layers}
        connections = graph.Connections(self.model)
        kinds = {
            name: _other_kind(op, connections.input(op))
            for name, op in graph.operations(self.model)
            if name not in names
        }
        return {name: kind for name, kind in kinds.items() if kind}

    def __str__(self) -> str:
        kinds: dict[str, list[str]] = {}
        for name, kind in self.others.items():
            kinds.setdefault(kind, []).append(name)
        lines = [f"stay, {kind}: {', '.join(names)}" for kind, names in kinds.items()]
        return "\n".join([self._table(), *lines])

    def _together(self, changed: keras.Model) -> keras.Model:
        """Returns a changed model, parts that did not change being one layer again."""
        if self.original is None:
            return changed
        return graph.put_together(changed, self.original)

    def _table(self) -> str:
        timed = self.ms is not None or any(row.ms is not None for row in self.layers)
        columns = [
            column for column in self.columns if any(map(column[1], self.layers))
        ]
        header = ["layer", *(name for name, _ in columns)]
        header += ["MACs", "after", "part", "params", "after"]
        header += ["ms", "after", "part"] * timed + ["stays because"]
        rows = [
            [row.name, *(text(row) for _, text in columns), *_costs(row, timed)]
            + [row.reason]
            for row in self.layers
        ]
        total = ["whole model", *[""] * len(columns), *_costs(self, timed), ""]
        if not any(row.reason for row in self.layers):
            header, total = header[:-1], total[:-1]
            rows = [row[:-1] for row in rows]
        return format_table(header, rows, total, left=1)


def _other_kind(layer, tensor) -> str:
    """What a layer with a kernel is; empty for a 2D convolution."""
    kind = type(layer).__name__
    if "Depthwise" in kind or (
        isinstance(layer, keras.layers.Conv2D) and 1 < layer.groups == layer.filters
    ):
        return "depthwise"
    if isinstance(layer, keras.layers.Conv2D):
        return ""
    reason = graph.why_whole(layer, tensor)
    if reason:
        return f"{kind} ({reason})"
    return kind if isinstance(layer, _OTHERS) else ""


def _costs(counted, timed) -> list[str]:
    cells = [f"{counted.macs:,}", f"{counted.macs_after:,}"]
    cells.append(_part(counted.macs, counted.macs_after))
    cells += [f"{counted.params:,}", f"{counted.params_after:,}"]
    if timed and counted.ms is None:
        return [*cells, "", "", ""]
    if timed:
        cells += [f"{counted.ms:.3f}", f"{counted.ms_after:.3f}"]
        cells.append(_part(counted.ms, counted.ms_after))
    return cells


def _part(before, after) -> str:
    return f"{after / before:.3f}"
