"""The constraint that keeps weights at zero."""

import json

import keras
import numpy as np
import pytest

from keras_roots.layers import FixedZeros


def test_weights_outside_the_mask_become_zero():
    mask = np.array([[True, False], [False, True]])
    constrained = FixedZeros(mask)(np.array([[1.0, 2.0], [3.0, -4.0]]))
    np.testing.assert_array_equal(np.asarray(constrained), [[1, 0], [0, -4]])


def test_another_constraint_is_applied_first():
    held = FixedZeros(np.array([True, True, False]), "non_neg")
    np.testing.assert_array_equal(
        np.asarray(held(np.array([-1.0, 2.0, 3.0]))), [0, 2, 0]
    )
    twin = FixedZeros.from_config(json.loads(json.dumps(held.get_config())))
    assert isinstance(twin.constraint, keras.constraints.NonNeg)
    np.testing.assert_array_equal(twin.mask, held.mask)


def test_the_mask_is_compact_and_comes_back():
    mask = np.random.default_rng(0).random((3, 3, 64, 64)) < 0.5
    config = json.loads(json.dumps(FixedZeros(mask).get_config()))
    assert len(json.dumps(config)) < 1.4 * mask.size / 8
    np.testing.assert_array_equal(FixedZeros.from_config(config).mask, mask)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="mask of shape"):
        FixedZeros(np.ones((2, 2)))(np.ones((2, 3)))
