import numpy as np
import pytest

from keras_roots.export.agreement import ExportError, measure

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], "float32")


def test_differences_are_relative_to_the_range_of_the_output():
    wide = np.array([[-50.0], [150.0]], "float32")
    agreement = measure([SCORES + 0.01, wide + 1], [SCORES, wide])
    assert agreement.images == 4
    assert agreement.difference == pytest.approx(1.0)
    assert agreement.relative_difference == pytest.approx(0.01 / 0.8, rel=1e-4)


def test_top1_agreement_counts_images():
    swapped = SCORES.copy()
    swapped[1] = swapped[1, ::-1]
    assert measure([swapped], [SCORES]).top1_agreement == 0.75
    assert measure([SCORES], [SCORES]).top1_agreement == 1.0
    features = np.arange(8.0).reshape(2, 2, 2)
    assert measure([features], [features]).top1_agreement is None


def test_the_range_of_a_nearly_constant_output_is_not_rounding_noise():
    steady = np.float32([[0.1], [0.1 + 1e-8]])
    assert steady[0] != steady[1]
    rounded = steady + np.float32(2e-8)
    assert 0 < measure([rounded], [steady]).relative_difference < 1e-3


def test_the_error_is_the_greatest_of_the_outputs():
    agreement = measure([SCORES * 1.1, SCORES], [SCORES, SCORES])
    assert agreement.relative_error == pytest.approx(0.01, rel=1e-5)


def test_a_report_prints_what_it_found():
    text = str(measure([SCORES], [SCORES + 0.004]))
    assert "4 images" in text and "100.0%" in text and "0.004 (0.005 of" in text


@pytest.mark.parametrize(
    ("exported", "expected", "text"),
    [
        (SCORES * np.nan, SCORES, "exported network gives NaN"),
        (SCORES, SCORES * np.inf, "The model gives NaN or infinite"),
        (SCORES[:, :1], SCORES, "outputs of shapes"),
    ],
)
def test_what_cannot_be_compared_is_an_error(exported, expected, text):
    with pytest.raises(ExportError, match=text):
        measure([exported], [expected])
