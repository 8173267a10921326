"""What can take the place of each convolution."""

import math

import helpers
import keras
import numpy as np
import pytest

from keras_roots.compression.options import layer_options, resolve_judge, with_groups
from keras_roots.convolutions import Convolution
from keras_roots.groups import lost_responses, output_changes


def test_options_are_what_saves_multiply_adds_and_the_layer_itself_first():
    how = {"rank_multiple": 4, "groups": 8, "judge": "responses"}
    options = layer_options(helpers.spatial_pair(), helpers.normal_images(), **how)
    assert [(o.way, o.value) for o in options["conv0"]] == [
        (None, 1),
        ("groups", 2),
        ("groups", 4),
        ("groups", 8),
        ("rank", 4),
        ("rank", 8),
        ("rank", 12),
        *(("rank", rank) for rank in (4, 8, 12, 16, 20)),
    ]
    ways = [option.method for option in options["conv0"] if option.way == "rank"]
    assert ways == ["responses"] * 3 + ["separable_responses"] * 5
    # A 1x1 of 16 by 16 saves with fewer than 8 filters; the image's has rank 3.
    assert [(o.way, o.value) for o in options["after"]] == [(None, 1), ("rank", 4)]
    whole, two, *_ = options["conv0"]
    assert whole.cost.macs == 64 * 9 * 16 * 16 + 16
    # conv0 reaches conv1, which may have groups too, unmixed: a 1x1 comes between.
    assert two.cost.macs == 64 * 9 * 16 * 8 + 16 + 64 * 16 * 16
    assert options["conv1"][1].cost.macs == 64 * 9 * 16 * 8 + 16
    for choices in options.values():
        for option in choices:
            assert option.loss == pytest.approx(-math.log1p(-option.error))
        assert all(0 <= option.error <= 1 for option in choices)
        assert all(option.cost.macs < choices[0].cost.macs for option in choices[1:])


def test_a_convolution_with_groups_and_a_1x1_behind_it():
    layer = keras.layers.Conv2D(16, 3, padding="same", strides=2)
    layer.build((None, 8, 8, 32))
    whole = Convolution.of(layer, [(8, 8)])
    (grouped,) = with_groups(whole, 4, False)
    assert grouped.cost.macs == 16 * 9 * 8 * 16 + 16
    same, mix = with_groups(whole, 4, True)
    assert same == grouped
    assert mix.cost == (16 * 16 * 16, 16 * 16)
    assert mix.inputs == ((4, 4),)


def test_groups_judged_by_the_outputs_of_the_network():
    """With a 1x1 where nothing else mixes the groups."""
    model, images = helpers.spatial_pair(), helpers.normal_images()
    options = layer_options(model, images, ways=("groups",), groups=4, judge="outputs")
    counts = {"conv0": (2, 4), "conv1": (2, 4)}
    changes = output_changes(model, counts, images, mixed=["conv0"])
    errors = lost_responses(model, counts, images)
    expected = {"conv0": changes["conv0"].mixed, "conv1": changes["conv1"].alone}
    for name, losses in expected.items():
        whole, *rest = options[name]
        assert (whole.way, whole.loss) == (None, 0.0)
        np.testing.assert_allclose([o.loss for o in rest], losses)
        np.testing.assert_allclose([o.error for o in rest], errors[name])
    assert changes["conv0"].mixed[0] < changes["conv0"].alone[0]
    assert [o.way for o in options["after"]] == [None]


@pytest.mark.parametrize(
    ("judge", "macs", "layers", "ways", "resolved"),
    [
        ("auto", 222_000_000, 9, ("rank",), "outputs"),  # NiN on 32x32
        ("auto", 41_000_000, 19, ("groups", "rank"), "outputs"),  # ResNet-20
        ("auto", 3_900_000_000, 53, ("rank",), "responses"),  # ResNet-50 at 224
        ("outputs", 3_900_000_000, 53, ("rank",), "outputs"),
        ("responses", 1, 1, ("rank",), "responses"),
    ],
)
def test_outputs_judge_where_that_is_affordable(judge, macs, layers, ways, resolved):
    assert resolve_judge(judge, macs, layers, ways) == resolved
