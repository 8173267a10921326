"""Plans of filter groups and ranks for a network, and the network that they make."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import keras
import numpy as np

from keras_roots import convolutions
from keras_roots.groups import plan_rootify
from keras_roots.lowrank import plan_decomposition

COSTS = ("macs", "latency")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressionPlan(convolutions.Plan):
    """Which convolutions get groups or lower ranks; prints as a table.

    Errors of its rows are parts of the variance of responses that are lost.

    Attributes:
        cost: The cost that was to fall: `"macs"` or `"latency"`.
        images: Sample images `(n, height, width, channels)`, which kernels are fitted
            to.
        seed: Seed of everything random.
        input_shape: Shape of one image, where the model's own has unknown sides.
        scale: What a millisecond saved in single layers saves in the whole network.
    """

    cost: str
    images: np.ndarray = dataclasses.field(repr=False, compare=False)
    seed: int | None = 0
    input_shape: Sequence | None = dataclasses.field(default=None, repr=False)
    scale: float = 1.0

    columns: ClassVar = (
        ("gets", lambda row: row.way or ""),
        ("groups", lambda row: str(row.groups)),
        ("rank", lambda row: "" if row.rank is None else str(row.rank)),
        ("error", lambda row: f"{row.error:.2%}" if row.way else ""),
    )

    @property
    def ms_after(self) -> float | None:
        """Milliseconds that the changed model is expected to take, if measured."""
        if self.ms is None:
            return None
        saved = sum(row.ms - row.ms_after for row in self.layers)
        return self.ms - self.scale * saved

    @property
    def part(self) -> float:
        """Part of its cost that the model is expected to keep."""
        if self.cost == "macs":
            return self.macs_after / self.macs
        return self.ms_after / self.ms

    def apply(self) -> keras.Model:
        """Returns a copy of the model with these groups and ranks.

        Kernels are fitted to the responses of the layers before, and
        BatchNormalization's statistics are estimated anew: a start for training.

        Raises:
            ValueError: Weights or responses are not finite.
        """
        model = self.model
        if self.groups:
            model = self._with_groups("responses", self.images)
        if self.ranks:
            model = self._with_ranks(model, method="responses", images=self.images)
        return convolutions.recalibrate(model, self.images)

    def sketch(self) -> keras.Model:
        """Returns a model of the same layers, whose weights are not fitted.

        It takes the time that the model of `apply` takes, and is made at once.
        """
        model = self.model
        if self.groups:
            model = self._with_groups("slice")
        return self._with_ranks(model) if self.ranks else model

    def _with_groups(self, carry_over, images=None) -> keras.Model:
        return plan_rootify(
            self.model,
            self.groups,
            mix=True,
            carry_over=carry_over,
            images=images,
            seed=self.seed,
            input_shape=self.input_shape,
        ).apply()

    def _with_ranks(self, model, **how) -> keras.Model:
        return plan_decomposition(
            model, ranks=self.ranks, cost=None, input_shape=self.input_shape, **how
        ).apply()
