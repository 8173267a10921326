"""A convolution and a method to decompose it: ranks, errors and costs."""

import bisect
import dataclasses
import functools
from collections.abc import Hashable, Mapping

import keras
import numpy as np

from keras_roots import convolutions
from keras_roots.convolutions import Convolution, Cost, Samples
from keras_roots.lowrank import ranks
from keras_roots.lowrank.methods import METHODS, Errors, Method, Target
from keras_roots.utils import checks

_FEW = 16  # ranks to try where each one takes its own factorisation
_MANY = 256


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A convolution that may be decomposed.

    Attributes:
        name: Name of the layer.
        method_name: Key of `METHODS`.
        target: Its kernel.
        convolution: What its cost depends on.
    """

    name: str
    method_name: str
    target: Target
    convolution: Convolution

    @classmethod
    def of(
        cls, name: str, method_name: str, layer: keras.Layer, convolution: Convolution
    ) -> "Candidate":
        """Returns a candidate, without responses.

        Raises:
            ValueError: Its weights are not finite.
        """
        kernel = convolutions.read_kernels(name, layer)
        return cls(name, method_name, Target(kernel, convolution.groups), convolution)

    @property
    def method(self) -> Method:
        """How it would be decomposed."""
        return METHODS[self.method_name]

    @property
    def groups(self) -> int:
        """Filter groups."""
        return self.target.groups

    @property
    def full_rank(self) -> int:
        """Rank over all groups at which nothing is lost."""
        return self.method.full_rank(self.target.kernel.shape, self.groups)

    @functools.cached_property
    def errors(self) -> Errors:
        """Function from rank per group to relative squared error."""
        return self.method.errors(self.target)

    def error(self, rank: int) -> float:
        """Returns the relative squared error at a rank over all groups."""
        return self.errors(rank // self.groups)

    def basis(self, every: bool) -> np.ndarray | None:
        """Returns the filters that its errors by responses are of, if not the layer's.

        Args:
            every: Whether for all ranks; else for those that pay. Higher ones are taken
                to lose as much as the highest of those, and the full one nothing.
        """
        if self.method.basis is None:
            return None
        every_rank = range(self.groups, self.full_rank + 1, self.groups)
        if not every:
            paying = bisect.bisect_left(
                every_rank, True, key=lambda rank: not self.pays(rank)
            )
            every_rank = every_rank[: max(paying, 1)]
        return self.method.basis(self.target, every_rank[-1] // self.groups)

    def factors(self, rank: int) -> tuple[Convolution, Convolution]:
        """Returns what would take its place."""
        use_bias = self.convolution.use_bias or self.method.by_responses
        return self.method.scheme.factors(self.convolution, rank, use_bias)

    def chain(self, rank: int | None) -> tuple[Convolution, ...]:
        """Returns the convolutions that take its place; `None` leaves it whole."""
        return (self.convolution,) if rank is None else self.factors(rank)

    def cost(self, rank: int | None) -> Cost:
        """Returns the cost of what would take its place."""
        return convolutions.total_cost(self.chain(rank))

    def pays(self, rank: int) -> bool:
        """Tells whether that has fewer multiply-adds."""
        return self.cost(rank).macs < self.convolution.cost.macs

    def least_rank(self, error: float) -> int:
        """Returns the least rank over all groups whose error is within a bound."""
        every = range(self.groups, self.full_rank + 1, self.groups)
        index = bisect.bisect_left(
            every, True, key=lambda rank: bool(ranks.within(self.error(rank), error))
        )
        return every[min(index, len(every) - 1)]

    def rounded(self, rank: int, multiple: int) -> int:
        """Returns a rank rounded up to a multiple per group, as far as that pays."""
        step = multiple * self.groups
        up = range(rank, min(-(-rank // step) * step, self.full_rank) + 1, self.groups)
        paying = bisect.bisect_left(up, True, key=lambda rank: not self.pays(rank))
        return up[-1] if not paying else up[paying - 1]

    def options(self, multiple: int) -> list[int]:
        """Returns ranks to choose among, evenly spread over all.

        Args:
            multiple: What ranks per group are multiples of.
        """
        step = multiple * self.groups
        every = [*range(step, self.full_rank, step), self.full_rank]
        most = _MANY if self.method.every_rank else _FEW
        chosen = np.linspace(0, len(every) - 1, min(most, len(every)))
        return [every[index] for index in np.unique(chosen.round().astype(int))]

    def check_rank(self, rank: int) -> None:
        """Checks a rank that was asked for.

        Raises:
            ValueError: It is no multiple of the groups up to the full rank.
        """
        if (
            not checks.is_integer(rank)
            or rank % self.groups
            or not self.groups <= rank <= self.full_rank
        ):
            multiple = f"a multiple of its {self.groups} groups"
            raise ValueError(
                f"`ranks` must give layer {self.name!r} an integer from {self.groups} "
                f"to {self.full_rank}, its full rank by {self.method_name!r}"
                f"{', ' + multiple if self.groups > 1 else ''}. "
                f"Received: ranks[{self.name!r}]={rank!r}"
            )


def with_responses(
    model: keras.Model,
    candidates: Mapping[Hashable, Candidate],
    images: Samples | None,
    every: bool = False,
    seed: int | None = 0,
) -> dict[Hashable, Candidate]:
    """Returns candidates with what their methods need of the responses to images.

    Args:
        model: The model of their layers.
        candidates: Candidates by any key.
        images: Sample images; `None` will do if no method goes by responses.
        every: As for `Candidate.basis`.
        seed: Seed of the choice of positions.

    Raises:
        ValueError: Responses are not finite.
    """
    requests = {
        key: (candidate.name, candidate.basis(every))
        for key, candidate in candidates.items()
        if candidate.method.by_responses
    }
    if not requests:
        return dict(candidates)
    found = convolutions.layer_responses(model, requests, images, seed=seed)
    return {
        key: dataclasses.replace(
            candidate, target=candidate.target._replace(responses=found.get(key))
        )
        for key, candidate in candidates.items()
    }
