"""Plans of filter groups and ranks for a network, and the network that they make."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import keras

from keras_roots import convolutions
from keras_roots.groups import RootPlan, group_fits, plan_rootify
from keras_roots.lowrank import decompose_in_order, plan_decomposition

COSTS = ("macs", "latency")

# Methods that make the same layers, of weights alone.
_BY_WEIGHTS = {"responses": "pca", "separable_responses": "separable"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressionPlan(convolutions.Plan):
    """Which convolutions get groups or lower ranks; prints as a table.

    Errors of its rows are parts of the variance of responses that are lost.

    Attributes:
        cost: The cost that was to fall: `"macs"` or `"latency"`.
        images: Samples of the model's inputs, which kernels are fitted to.
        mixed: Names of layers with groups that get a 1x1 behind them.
        seed: Seed of everything random.
        input_shape: Shape of one image, where the model's own has unknown sides.
        scale: What a millisecond saved in single layers saves in the whole network.
    """

    cost: str
    images: convolutions.Samples = dataclasses.field(repr=False, compare=False)
    mixed: tuple[str, ...] = ()
    seed: int | None = 0
    input_shape: Sequence | None = dataclasses.field(default=None, repr=False)
    scale: float = 1.0

    columns: ClassVar = (
        ("gets", lambda row: row.way or ""),
        ("groups", lambda row: str(row.groups)),
        ("rank", lambda row: "" if row.rank is None else str(row.rank)),
        ("method", lambda row: row.method or ""),
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

        Kernels are fitted one by one to the responses of the model, from the inputs
        that the layers before them give by then. Where there are ranks, `recalibrate`
        mostly takes the outputs further from the model's.

        Raises:
            ValueError: Weights or responses are not finite.
        """
        if not self.groups and not self.ranks:
            return self.model if self.original is None else self.original
        return self._together(self._fitted())

    def _fitted(self) -> keras.Model:
        chosen = {name: (self.methods[name], rank) for name, rank in self.ranks.items()}
        if not self.groups:
            networks = self.model, self.model
            return decompose_in_order(*networks, chosen, self.images, self.seed)
        plan = self._plan_groups("responses", self.images)
        if not self.ranks:
            return plan.apply()
        shapes, seed = self.images.shapes, self.seed
        return decompose_in_order(
            *plan.networks(),
            chosen,
            self.images,
            seed,
            lambda *pair: group_fits(*pair, self.groups, shapes, seed),
        )

    def sketch(self) -> keras.Model:
        """Returns a model of the same layers, whose weights are not fitted.

        It takes the time that the model of `apply` takes, and is made at once.
        """
        model = self.model
        if self.groups:
            model = self._plan_groups("slice").apply()
        if self.ranks:
            model = plan_decomposition(
                model,
                method={name: _BY_WEIGHTS[each] for name, each in self.methods.items()},
                ranks=self.ranks,
                cost=None,
                input_shape=self.input_shape,
            ).apply()
        return self._together(model)

    def _plan_groups(self, carry_over, images=None) -> RootPlan:
        return plan_rootify(
            self.model,
            self.groups,
            mix=self.mixed or False,
            carry_over=carry_over,
            images=images,
            seed=self.seed,
            input_shape=self.input_shape,
        )
