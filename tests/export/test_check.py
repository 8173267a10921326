import re

import keras
import numpy as np
import pytest

from keras_roots.convolutions import Samples
from keras_roots.export import check
from keras_roots.export.agreement import ExportError

SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], "float32")


@pytest.mark.parametrize(
    ("exported", "expected", "options", "text"),
    [
        (SCORES + 0.1, SCORES, {"tolerance": 0.1}, "0.1 is allowed by `tolerance`"),
        (SCORES + 0.1, SCORES, {"default": 0.1}, "at most 0.1 is allowed by default"),
        (SCORES[:, ::-1], SCORES, {"min_agreement": 0.5}, "asks for 50.0%"),
        (SCORES * 1.1, SCORES, {"max_error": 0.009}, "error of 0.01; `max_error`"),
        (SCORES[None], SCORES[None], {"min_agreement": 0.5}, "needs a model whose"),
    ],
)
def test_bad_outputs_are_errors(exported, expected, options, text):
    with pytest.raises(ExportError, match=text):
        check.compare([exported], [expected], **options)


STEADY = np.float32([[0.1, 0.2, 0.3]] * 4)


@pytest.mark.parametrize(
    ("exported", "expected", "text"),
    [
        (STEADY, STEADY, "The model gives the same output for all 4 images"),
        (
            STEADY,
            STEADY + 1e-4 * SCORES[:, :1],
            "exported network gives the same.*7e-05",
        ),
    ],
)
def test_the_same_output_for_all_images_is_a_warning(exported, expected, text):
    with pytest.warns(UserWarning, match=text):
        check.compare([exported], [expected], quantized=True)


RNG = np.random.default_rng(0)
MAPS = RNG.uniform(-1, 3, (4, 5, 5, 2))
LOGITS = RNG.normal(size=(40, 10))
SURE = np.exp(9 * LOGITS) / np.exp(9 * LOGITS).sum(-1, keepdims=True)
FLAT = np.full((40, 1000), 1e-3) * RNG.uniform(0.99, 1.01, (40, 1000))
FLAT /= FLAT.sum(-1, keepdims=True)


def _noisy(output, error):
    """An output with noise of a relative squared error."""
    noise = np.random.default_rng(1).normal(size=output.shape)
    return output + noise * np.sqrt(error * (output**2).sum() / (noise**2).sum())


FINE, WARNED, WRONG = range(3)
QUANTIZED = {
    "a map": (_noisy(MAPS, 0.04), MAPS, FINE),
    "a map that is off": (_noisy(MAPS, 0.06), MAPS, WARNED),
    "a map that is worse": (_noisy(MAPS, 0.8), MAPS, WARNED),
    "a map of something else": (MAPS[::-1], MAPS, WRONG),
    "a map upside down": (-MAPS, MAPS, WRONG),
    "logits": (_noisy(LOGITS, 0.04), LOGITS, FINE),
    "logits with the same classes": (1.3 * LOGITS, LOGITS, WARNED),
    "logits of something else": (_noisy(LOGITS, 0.95), LOGITS, WRONG),
    "probabilities": (_noisy(SURE, 0.04), SURE, FINE),
    "probabilities of the same classes": (SURE**0.3, SURE, FINE),
    "other classes": (SURE[::-1], SURE, WRONG),
    # Of an untrained network: less than the steps that int8 has from 0 to 1.
    "no answer at all": (0 * FLAT, FLAT, FINE),
}


@pytest.mark.filterwarnings("ignore:The exported network gives the same output")
@pytest.mark.filterwarnings("error:The exported network's output")
@pytest.mark.parametrize("name", QUANTIZED)
def test_what_quantisation_may_cost(name):
    exported, expected, kind = QUANTIZED[name]
    outputs = [LOGITS[: len(exported)], exported], [LOGITS[: len(exported)], expected]
    text = r"output 1 has a relative squared error of [0-4]"
    if kind == WARNED:
        with pytest.warns(UserWarning, match=text):
            check.compare(*outputs, quantized=True)
    elif kind == WRONG:
        with pytest.raises(ExportError, match=text):
            check.compare(*outputs, quantized=True)
    for limits in ({}, {"max_error": 10}, {"min_agreement": 0}):
        check.compare(*outputs, quantized=kind == FINE or bool(limits), **limits)


ONE_CLASS = np.eye(3)[[1] * 6]
LEVEL = np.full((6, 2), 3.0)
VARIED = np.linspace(1, 3, 12).reshape(6, 2)
NOT_A_NUMBER = np.where(VARIED > 2, np.nan, VARIED)
FLOAT16, INT8 = {"default": 1e-2}, {"quantized": True}
ALLOWED = {"tolerance": 10.0, "max_error": 10.0, "min_agreement": 0.0}
OF_THE_MODEL = {
    "another class, in int8": (ONE_CLASS[:, [1, 0, 2]], ONE_CLASS, INT8),
    "nearly constant, in int8": (-LEVEL, LEVEL + 1e-3 * VARIED, INT8),
    "constant, in float16": (LEVEL + 1e-3, LEVEL, FLOAT16),
    "small and constant, in float16": (1e-3 * LEVEL, 1.001e-3 * LEVEL, FLOAT16),
}
OF_THE_FILE = {
    "constant, in float16": (VARIED * 0 + VARIED.mean(), VARIED, FLOAT16),
    "constant, in int8": (VARIED * 0 + 2.0, VARIED, INT8),
    "the same probabilities, in int8": (0 * SURE, SURE, INT8),
    "NaN": (NOT_A_NUMBER, VARIED, FLOAT16),
    "infinite": (VARIED + np.inf, VARIED, INT8),
    "other shapes": (VARIED[:, :1], VARIED, INT8),
}


@pytest.mark.parametrize("case", OF_THE_MODEL)
def test_what_is_true_of_the_model_is_a_warning(case):
    exported, expected, how = OF_THE_MODEL[case]
    with pytest.warns(UserWarning, match="is the model trained"):
        check.compare([exported], [expected], **how)


@pytest.mark.parametrize("limits", [{}, ALLOWED])
@pytest.mark.parametrize("case", OF_THE_FILE)
def test_what_is_wrong_with_the_file_is_an_error(case, limits):
    exported, expected, how = OF_THE_FILE[case]
    with pytest.raises(ExportError, match="The exported network (gives|has outputs)"):
        check.compare([exported], [expected], **how, **limits)


def test_a_constant_model_does_not_excuse_a_file_that_is_far_off():
    with pytest.raises(ExportError, match="at most 0.01 is allowed by default"):
        check.compare([LEVEL * 1.1], [LEVEL], **FLOAT16)


@pytest.mark.parametrize("how", [FLOAT16, INT8])
def test_the_message_says_what_would_pass(how):
    exported, expected = [-VARIED], [VARIED]
    with pytest.raises(ExportError) as caught:
        check.compare(exported, expected, **how)
    tolerance = float(re.search(r"tolerance=([^ )]+)", str(caught.value))[1])
    wanted = 2 * np.abs(VARIED).max() / np.ptp(VARIED)  # by hand: 3
    assert wanted < tolerance < 1.2 * wanted
    found = check.compare(exported, expected, tolerance=tolerance, **how)
    assert found.relative_difference == pytest.approx(wanted)


@pytest.mark.parametrize("limit", ALLOWED)
@pytest.mark.parametrize("value", [True, "x", -1, float("nan"), [1]])
def test_limits_are_numbers(limit, value):
    with pytest.raises(ValueError, match=f"`{limit}` must be a"):
        check.check_limits(**{limit: value})


def test_several_inputs_keep_their_structure():
    inputs = {name: keras.Input((2,), name=name) for name in ("b", "a")}
    model = keras.Model(inputs, inputs["a"] - 2 * inputs["b"])
    arrays = {name: RNG.normal(size=(70, 2)).astype("float32") for name in inputs}
    samples = Samples.of(model, arrays)
    (found,) = check.reference_outputs(model, samples)
    np.testing.assert_allclose(found, arrays["a"] - 2 * arrays["b"], rtol=1e-6)


def test_one_image_cannot_be_called_constant():
    assert check.compare([SCORES[:1]], [SCORES[:1]]).images == 1


def test_another_backend_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow.*'jax'"):
        check.require_tensorflow()
