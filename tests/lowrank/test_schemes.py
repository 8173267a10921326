"""Two convolutions for one, against the paper's speed-ups and counts by hand."""

import pytest

from keras_roots.convolutions.description import Convolution, total_cost
from keras_roots.lowrank.schemes import (
    CROSS_FILTER,
    SEPARABLE,
    break_even_rank,
    theoretical_speedup,
)

# Force Regularization, Table 4, AlexNet: kernel, groups, and ranks with theoretical
# speed-ups, without and with force.
TABLE_4 = {
    "conv3": ((3, 3, 256, 384), 1, (184, 1.79), (124, 2.65)),
    "conv4": ((3, 3, 192, 384), 2, (201, 1.72), (106, 3.26)),
    "conv5": ((3, 3, 192, 256), 2, (146, 1.63), (129, 1.85)),
}


@pytest.mark.parametrize("layer", TABLE_4)
def test_speedups_of_the_paper(layer):
    kernel_shape, groups, *points = TABLE_4[layer]
    for rank, speedup in points:
        assert round(theoretical_speedup(kernel_shape, groups, rank), 2) == speedup


@pytest.mark.parametrize(
    ("kernel_shape", "groups"),
    [((3, 3, 16, 16), 1), ((1, 1, 4, 8), 1), ((5, 5, 8, 64), 4), ((1, 1, 1, 2), 2)],
)
def test_break_even(kernel_shape, groups):
    paying = [
        rank
        for rank in range(groups, kernel_shape[3] + 1, groups)
        if theoretical_speedup(kernel_shape, groups, rank) > 1
    ]
    assert break_even_rank(kernel_shape, groups) == max(paying, default=0)


@pytest.mark.parametrize("scheme", [CROSS_FILTER, SEPARABLE])
def test_factors_by_hand(conv, one_layer, scheme):
    """3x5, strides 2 and 3, 17x20 to 9x7 pixels; 4 of 8 filters in 2 groups."""
    layer = conv(8, (3, 5), groups=2, strides=(2, 3), padding="same")
    one_layer(layer, shape=(17, 20, 6))
    factors = scheme.factors(Convolution.of(layer, [(17, 20)]), 4)
    weights = {
        CROSS_FILTER: [(9 * 7, 15 * 3 * 4), (9 * 7, 2 * 8)],
        SEPARABLE: [(9 * 20, 3 * 3 * 4), (9 * 7, 5 * 2 * 8)],
    }[scheme]
    assert total_cost(factors) == (
        sum(positions * count for positions, count in weights) + 8,
        sum(count for _, count in weights) + 8,
    )
