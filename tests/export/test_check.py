import keras
import numpy as np
import pytest

from keras_roots.export import check

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], "float32")


def test_differences_are_relative_to_the_range_of_the_output():
    wide = np.array([[-50.0], [150.0]], "float32")
    agreement = check.compare(
        [SCORES + 0.01, wide + 1], [SCORES, wide], tolerance=0.0126
    )
    assert agreement.images == 4
    assert agreement.difference == pytest.approx(1.0)
    assert agreement.relative_difference == pytest.approx(0.01 / 0.8, rel=1e-4)


def test_top1_agreement_counts_images():
    swapped = SCORES.copy()
    swapped[1] = swapped[1, ::-1]
    assert check.compare([swapped], [SCORES]).top1_agreement == 0.75
    assert check.compare([SCORES], [SCORES]).top1_agreement == 1.0
    features = np.arange(8.0).reshape(2, 2, 2)
    assert check.compare([features], [features]).top1_agreement is None


def test_the_range_of_a_nearly_constant_output_is_not_rounding_noise():
    steady = np.float32([[0.1], [0.1 + 1e-8]])
    assert steady[0] != steady[1]
    rounded = steady + np.float32(2e-8)
    assert check.compare([rounded], [steady], tolerance=1e-3).difference > 0


@pytest.mark.parametrize(
    ("exported", "expected", "options", "text"),
    [
        (SCORES * np.nan, SCORES, {}, "exported network gives NaN"),
        (SCORES, SCORES * np.inf, {}, "The model gives NaN or infinite"),
        (SCORES * 0 + 0.5, SCORES, {}, "exported network gives the same output for"),
        (SCORES, SCORES * 0 + 0.5, {}, "The model gives the same output for all 4"),
        (SCORES + 0.1, SCORES, {"tolerance": 0.1}, "at most 0.1 is allowed"),
        (SCORES[:, :1], SCORES, {}, "outputs of shapes"),
        (SCORES[:, ::-1], SCORES, {"min_agreement": 0.5}, "asks for 50.0%"),
        (SCORES[None], SCORES[None], {"min_agreement": 0.5}, "needs a model whose"),
    ],
)
def test_bad_outputs_are_errors(exported, expected, options, text):
    with pytest.raises(check.ExportError, match=text):
        check.compare([exported], [expected], **options)


def test_one_image_cannot_be_called_constant():
    assert check.compare([SCORES[:1]], [SCORES[:1]]).images == 1


def test_another_backend_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow.*'jax'"):
        check.require_tensorflow()


def test_outputs_keep_the_order_of_the_model():
    names = [f"output_{i}" for i in range(12)]
    assert check.in_order(sorted(names)) == names
    assert check.in_order(["boxes_long", "alpha", "z"]) == ["alpha", "boxes_long", "z"]


def test_a_report_prints_what_it_found():
    text = str(check.compare([SCORES], [SCORES + 0.004]))
    assert "4 images" in text and "100.0%" in text and "0.004 (0.005 of" in text
