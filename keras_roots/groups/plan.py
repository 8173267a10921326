"""Plans of filter groups for a network: what each convolution gets, and the network."""

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import keras
import numpy as np

from keras_roots import convolutions, graph
from keras_roots.convolutions import Layers
from keras_roots.groups import carry_over as carrying
from keras_roots.groups import channel_order, mixing, refit
from keras_roots.groups.schedule import Root, check_root, requested_groups
from keras_roots.groups.stages import Spatial, spatial_convolutions
from keras_roots.profiling import profile
from keras_roots.utils import checks

CARRY_OVER = ("energy", "responses", "slice", None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerGroups(convolutions.LayerPlan):
    """What a plan makes of one spatial convolution.

    Multiply-adds and parameters after are those with groups, and of the 1x1 that is
    added.

    Attributes:
        stage: Index of its stage.
        outputs: Height and width of its output, in its first call.
        channels: Its input channels.
        filters: Its filters.
        asked: Groups that it was to get, of which it gets the most that divide its
            channels and filters; `None` if it was not chosen.
        unmixed: What its output reaches before anything mixes its groups, a grouped
            convolution or an output; empty if they are mixed.
        mix: Whether a 1x1 is added after it, `NAME_mix`, to mix them; another name
            if that is taken.
    """

    stage: int
    outputs: tuple[int, int]
    channels: int
    filters: int
    asked: int | None
    unmixed: str
    mix: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class RootPlan(convolutions.Plan):
    """Which convolutions get filter groups, and what that saves; prints as a table.

    Its rows are `LayerGroups` of the spatial convolutions, but the first.

    Attributes:
        carry_over: Which weights stay, as for `rootify`.
        images: Sample images, for `carry_over="responses"`.
        seed: Seed of the search for channels that belong together.
    """

    carry_over: str | None = "energy"
    images: np.ndarray | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    seed: int | None = 0

    columns: ClassVar = (
        ("not mixed before", lambda row: _unmixed_text(row)),
        ("stage", lambda row: str(row.stage)),
        ("output", lambda row: "x".join(map(str, row.outputs))),
        ("channels", lambda row: str(row.channels)),
        ("filters", lambda row: str(row.filters)),
        ("groups", lambda row: str(row.groups)),
        ("asked", lambda row: "" if row.asked is None else str(row.asked)),
    )

    @property
    def unmixed(self) -> dict[str, str]:
        """Layers whose groups would never mix, and what they reach unmixed."""
        return {
            row.name: row.unmixed for row in self.layers if row.unmixed and not row.mix
        }

    def apply(self) -> keras.Model:
        """Returns a copy of the model with groups, functional, not compiled.

        Raises:
            ValueError: Weights, or responses to the images, are not finite.
        """
        dense, grouped = self.networks()
        if self.carry_over == "responses":
            refit.refit(dense, grouped, self.groups, self.images, seed=self.seed)
        return self._together(grouped)

    def networks(self) -> tuple[keras.Model, keras.Model]:
        """Returns what the networks with groups and without have in common.

        Returns:
            A copy of the model, with its channels in the order of the groups and 1x1s,
            the identity, where some are added: it computes what the model does. And the
            same with groups, whose kernels are not fitted to responses yet.

        Raises:
            ValueError: Weights are not finite.
        """
        dense = self.model
        mixed = [row.name for row in self.layers if row.mix]
        if mixed:
            dense = mixing.add_mixing(dense, mixed)
        if self.carry_over in ("energy", "responses"):
            dense = channel_order.put_in_order(dense, self.groups, self.seed)
        fresh = self.carry_over is None
        return dense, carrying.divide(dense, self.groups, fresh=fresh)


def plan_rootify(
    model: keras.Model,
    root: Root = 64,
    topology: str = "root",
    layers: Layers = None,
    *,
    mix: bool | Sequence[str] = False,
    carry_over: str | None = "energy",
    images: np.ndarray | None = None,
    seed: int | None = 0,
    input_shape: Sequence | None = None,
) -> RootPlan:
    """Decides which convolutions of a model get how many filter groups.

    Args:
        model: As for `rootify`, like all arguments.
        root: Groups of the first stage, of every stage, or of layers by name.
        topology: How groups go on from stage to stage.
        layers: Which spatial convolutions.
        mix: Whether 1x1s are added where groups would never mix, or a list of
            layers with groups, by name, to add one behind.
        carry_over: Which weights stay.
        images: Sample images, for `carry_over="responses"`.
        seed: Seed of the search for channels that belong together.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Returns:
        A `RootPlan`: per layer groups, multiply-adds and parameters before and after.
        It prints as a table, and `apply()` returns the model with groups.

    Raises:
        ValueError: As `rootify`.

    Example:
        >>> plan = plan_rootify(keras.applications.ResNet50(weights=None), root=64)
        >>> plan.macs_after / plan.macs
        0.548
    """
    checks.choice("carry_over", carry_over, CARRY_OVER)
    if not isinstance(mix, list | tuple):
        checks.boolean("mix", mix)
    if carry_over != "responses":
        checks.unused("images", images, "carry_over='responses'")
    checks.seed(seed)
    original = graph.expand_composites(model)
    model = graph.take_apart(original)
    if carry_over == "responses" and images is None:
        raise ValueError(
            "`images` must be given for carry_over='responses': sample images as the "
            "model takes them, a few hundred of the training set. Received: images=None"
        )
    if carry_over == "responses":
        images = convolutions.Samples.of(model, images)
    counted = profile(original, input_shape)
    root = check_root(root, layers)
    spatial = spatial_convolutions(model, layers, input_shape)
    spatial, asked = requested_groups(spatial, root, topology)
    groups = {
        layer.name: _most(asked[layer.name], layer) if layer.chosen else 1
        for layer in spatial
    }
    grouped = {id(s.layer): s.name for s in spatial if groups[s.name] > 1}
    unmixed = mixing.find_unmixed(model, grouped, input_shape)
    if isinstance(mix, list | tuple):
        mix = checks.choices("mix", mix, [n for n in groups if groups[n] > 1])
    else:
        mix = unmixed if mix else ()
    rows = tuple(
        _row(
            layer,
            asked[layer.name] if layer.chosen else None,
            groups[layer.name],
            unmixed.get(layer.name, ""),
            layer.name in mix and groups[layer.name] > 1,
        )
        for layer in spatial
    )
    return RootPlan(
        model=model,
        layers=rows,
        macs=counted.macs,
        params=counted.params,
        carry_over=carry_over,
        images=images,
        seed=seed,
        original=original,
    )


def _most(asked, layer) -> int:
    """The most groups, up to those asked, that divide a layer's channels."""
    common = math.gcd(layer.channels, layer.filters)
    return max(n for n in range(1, min(asked, common) + 1) if common % n == 0)


def _row(layer: Spatial, asked, groups, unmixed, mix) -> LayerGroups:
    positions = sum(map(math.prod, layer.outputs))
    weights = math.prod(layer.layer.kernel.shape)
    biases = layer.filters * layer.layer.use_bias
    calls = len(layer.outputs)
    added = layer.filters**2 if mix else 0
    return LayerGroups(
        name=layer.name,
        way="groups" if groups > 1 else None,
        groups=groups,
        macs=weights * positions + biases * calls,
        macs_after=(weights // groups + added) * positions + biases * calls,
        params=weights + biases,
        params_after=weights // groups + added + biases,
        reason="" if groups > 1 else layer.obstacle or _reason(asked),
        stage=layer.stage,
        outputs=layer.outputs[0],
        channels=layer.channels,
        filters=layer.filters,
        asked=asked,
        unmixed=unmixed,
        mix=mix,
    )


def _reason(asked) -> str:
    if asked is None:
        return "not chosen"
    return "one group" if asked == 1 else "no groups divide its channels and filters"


def _unmixed_text(row) -> str:
    if not row.mix:
        return row.unmixed
    return f"1x1 added ({row.unmixed})" if row.unmixed else "1x1 added"
