import itertools
import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pytest

from keras_roots.analysis.paired import PairedComparison, compare_paired


def _pairs(both, first_only, second_only, neither):
    """Whether each classifier is right, in an order that means nothing."""
    counts = both, first_only, second_only, neither
    pairs = np.repeat([(1, 1), (1, 0), (0, 1), (0, 0)], counts, axis=0)
    return np.random.default_rng(0).permutation(pairs).astype(bool).T


def _every_outcome(first_only, second_only):
    """P-value of McNemar's test by going through all ways the images could fall."""
    tosses = first_only + second_only
    uneven = abs(first_only - second_only)
    extreme = sum(
        abs(tosses - 2 * sum(outcome)) >= uneven
        for outcome in itertools.product((0, 1), repeat=tosses)
    )
    return Fraction(extreme, 2**tosses)


def _binomial_tail(first_only, second_only):
    tosses = first_only + second_only
    few = min(first_only, second_only)
    tail = sum(Fraction(math.comb(tosses, heads)) for heads in range(few + 1))
    return min(Fraction(1), 2 * tail / 2**tosses)


def test_votes_of_a_panel():
    """The example of Agresti, Categorical Data Analysis, section on matched pairs.

    794 of 1600 Britons approve at both times, 150 only at the first, 86 only at the
    second; the Wald interval there is -.04 +- 1.96 x .0095.
    """
    found = compare_paired(*_pairs(794, 150, 86, 570))
    assert (found.first_only, found.second_only, found.images) == (150, 86, 1600)
    assert found.difference == pytest.approx(-0.04)
    assert found.low == pytest.approx(-0.04 - 1.96 * 0.0095, abs=2e-4)
    assert found.high == pytest.approx(-0.04 + 1.96 * 0.0095, abs=2e-4)
    assert found.p_value == pytest.approx(float(_binomial_tail(150, 86)), rel=1e-12)
    # The normal approximation of the same test: (86 - 150)^2 / (86 + 150) = 17.36.
    assert found.p_value == pytest.approx(2 * NormalDist().cdf(-(17.36**0.5)), rel=0.4)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("counts", [(90, 4, 3, 3), (5, 0, 7, 1), (1, 0, 0, 0)])
def test_the_interval_is_that_of_half_an_image_more_in_each_cell(counts, confidence):
    """As many differences per image, twice over: four more images in 2 n + 4."""
    first, second = _pairs(*counts)
    doubled = np.repeat(second.astype(int) - first, 2).tolist() + [0, 0, 1, -1]
    images = len(doubled) / 2
    mean = sum(doubled) / len(doubled)
    variance = sum((value - mean) ** 2 for value in doubled) / len(doubled)
    normal = NormalDist(mean, math.sqrt(variance / images))
    found = compare_paired(first, second, confidence)
    tail = (1 - confidence) / 2
    assert found.low == pytest.approx(max(-1, normal.inv_cdf(tail)))
    assert found.high == pytest.approx(min(1, normal.inv_cdf(1 - tail)))


def test_the_interval_stays_within_possible_differences():
    found = compare_paired([0, 0, 0], [1, 1, 1], 0.9999)
    assert (found.difference, found.high) == (1, 1)
    assert compare_paired([1, 1, 1], [0, 0, 0], 0.9999).low == -1


@pytest.mark.parametrize("first_only", range(6))
@pytest.mark.parametrize("second_only", range(6))
def test_the_p_value_against_every_outcome(first_only, second_only):
    found = compare_paired(*_pairs(3, first_only, second_only, 2))
    want = _every_outcome(first_only, second_only)
    assert found.p_value == pytest.approx(float(want), rel=1e-15)


@pytest.mark.parametrize("counts", [(2500, 2400), (3000, 2000), (6000, 6000), (1, 900)])
def test_thousands_of_discordant_images(counts):
    found = compare_paired(*_pairs(10, *counts, 0))
    want = float(_binomial_tail(*counts))
    assert found.p_value == pytest.approx(want, rel=1e-9)


def test_a_difference_beyond_floating_point():
    assert compare_paired(np.zeros(5000), np.ones(5000)).p_value == 0


def test_the_order_of_the_classifiers_is_the_sign():
    first, second = _pairs(50, 9, 4, 7)
    ahead, behind = compare_paired(first, second), compare_paired(second, first)
    assert ahead.difference == -behind.difference == -5 / 70
    assert (ahead.low, ahead.high) == pytest.approx((-behind.high, -behind.low))
    assert ahead.p_value == behind.p_value


def test_zeros_and_ones_are_booleans():
    first, second = _pairs(5, 2, 3, 1)
    want = compare_paired(first, second)
    assert isinstance(want, PairedComparison)
    assert compare_paired(first.astype("float32"), second.tolist()) == want
    assert compare_paired(first.astype("uint8"), list(map(int, second))) == want


def test_the_interval_covers_the_true_difference():
    """2,000 test sets of 200 images, drawn from known probabilities."""
    cells = (0.8, 0.08, 0.05, 0.07)
    draws = np.random.default_rng(0).multinomial(200, cells, 2000)
    found = [compare_paired(*_pairs(*counts)) for counts in draws]
    covered = np.mean([each.low <= -0.03 <= each.high for each in found])
    assert 0.935 < covered < 0.97
    # Nothing to find: the test may be wrong in 5 % of the cases, and exact is careful.
    draws = np.random.default_rng(1).multinomial(200, (0.8, 0.06, 0.06, 0.08), 2000)
    wrong = np.mean([compare_paired(*_pairs(*each)).p_value < 0.05 for each in draws])
    assert 0.01 < wrong < 0.05


@pytest.mark.parametrize(
    "arguments,message",
    [
        (dict(second=[1, 0]), "same length.*length 3, second of length 2"),
        (dict(first=[], second=[]), r"`first` must hold one value.*\(0,\)"),
        (dict(second=[[1, 0, 1]]), r"`second` must hold one value.*\(1, 3\)"),
        (dict(first=[0.5, 1, 0]), r"`first` must say whether.*\[0.5, 1.0, 0.0\]"),
        (dict(second=[3, 1, 0]), r"`second` must say whether.*\[3, 1, 0\]"),
        (dict(second=["1", "0", "1"]), "`second` must say whether.*dtype <U1"),
        (dict(first=[1, 0, np.nan]), "`first` must say whether"),
        (dict(confidence=1), "confidence=1"),
        (dict(confidence=0.0), "confidence=0.0"),
        (dict(confidence=95), "confidence=95"),
        (dict(confidence="0.95"), "confidence='0.95'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        compare_paired(**{"first": [1, 0, 1], "second": [1, 1, 0], **arguments})
