"""Networks and convolutions for the tests of low-rank approximation."""

import helpers
import numpy as np
import pytest


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).normal(size=(3, 12, 12, 6)).astype("float32")


@pytest.fixture(scope="session")
def conv():
    return helpers.conv


@pytest.fixture(scope="session")
def one_layer():
    return helpers.one_layer


@pytest.fixture(scope="session")
def kernel_of():
    return helpers.kernel_of
