"""What was chosen to become of the convolutions of a network, and the network then."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import convolutions
from keras_roots.convolutions import recalibrate
from keras_roots.groups import plan_rootify
from keras_roots.lowrank import plan_decomposition
from keras_roots.utils import format_table

# What counts, and what it is counted in.
UNITS = {"latency": "ms", "macs": "MACs"}


@dataclasses.dataclass(frozen=True)
class LayerChoice:
    """What becomes of one convolution.

    Attributes:
        name: Name of the layer, after those of the models that it is nested in.
        way: `"groups"`, `"rank"`, or `None` if it stays.
        groups: Filter groups that it has then.
        rank: Rank over all groups that it has then; `None` if it is not decomposed.
        lost: Part of the variance of its responses that is lost, 0 to 1.
        cost: Its cost: multiply-adds, or milliseconds.
        cost_after: That of what takes its place.
    """

    name: str
    way: str | None
    groups: int
    rank: int | None
    lost: float
    cost: float
    cost_after: float


@dataclasses.dataclass(frozen=True)
class CompressionPlan:
    """What groups and ranks would save; prints as a table.

    Attributes:
        model: The model.
        layers: What becomes of its convolutions.
        cost: What counts: `"macs"` or `"latency"`.
        before: Cost of the whole model: multiply-adds, or measured milliseconds.
        after: What it is expected to cost then.
        input_shape: Shape of one image, where the model's own has unknown sides.
    """

    model: keras.Model = dataclasses.field(repr=False)
    layers: tuple[LayerChoice, ...]
    cost: str
    before: float
    after: float
    input_shape: Sequence | None = dataclasses.field(default=None, repr=False)

    @property
    def groups(self) -> dict[str, int]:
        """Layers that get groups, and how many."""
        return {row.name: row.groups for row in self.layers if row.way == "groups"}

    @property
    def ranks(self) -> dict[str, int]:
        """Layers that are decomposed, and their ranks."""
        return {row.name: row.rank for row in self.layers if row.way == "rank"}

    def apply(self, images: np.ndarray, seed: int = 0) -> keras.Model:
        """Returns a copy of the model with these groups and ranks.

        Kernels are fitted to what the layers answered before, and BatchNormalization's
        statistics are estimated anew: it is worth what training is to start from.

        Args:
            images: Sample images `(n, height, width, channels)`, as the model takes
                them.
            seed: Seed of the search for channels that belong together.

        Raises:
            ValueError: The images do not fit the model.
            ImportError: SciPy is not installed, which groups need.
        """
        images = convolutions.check_images(self.model, images)
        model = self.model
        if self.groups:
            model = self._groups().apply("responses", images, seed)
        if self.ranks:
            model = self._ranks(model, method="responses", images=images).apply()
        return recalibrate(model, images)

    def sketch(self) -> keras.Model:
        """Returns a model of the same layers, whose weights are worth nothing yet.

        It takes the time that the model of `apply` takes, and is made at once.
        """
        model = self.model
        if self.groups:
            model = self._groups().apply("slice")
        return self._ranks(model).apply() if self.ranks else model

    def _groups(self):
        return plan_rootify(
            self.model, self.groups, mix=True, input_shape=self.input_shape
        )

    def _ranks(self, model, **how):
        return plan_decomposition(
            model, ranks=self.ranks, cost=None, input_shape=self.input_shape, **how
        )

    def __str__(self) -> str:
        header = ["layer", "gets", "groups", "rank", "lost"]
        header += [UNITS[self.cost], "after", "part"]
        rows = [_cells(row, self.cost) for row in self.layers]
        total = ["whole model", "", "", "", ""]
        total += _amounts(self.before, self.after, self.cost)
        return format_table(header, rows, total, left=2)


def _cells(row: LayerChoice, cost: str) -> list[str]:
    return [
        row.name,
        row.way or "",
        str(row.groups),
        "" if row.rank is None else str(row.rank),
        f"{row.lost:.2%}" if row.way else "",
        *_amounts(row.cost, row.cost_after, cost),
    ]


def _amounts(before, after, cost) -> list[str]:
    form: Callable = "{:.3f}".format if cost == "latency" else "{:,.0f}".format
    return [form(before), form(after), f"{after / before:.3f}"]
