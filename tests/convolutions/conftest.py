"""Convolutions for the tests of their description."""

import helpers
import pytest


@pytest.fixture(scope="session")
def conv():
    return helpers.conv


@pytest.fixture(scope="session")
def one_layer():
    return helpers.one_layer
