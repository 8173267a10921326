"""Where the stages of most tests run."""

import helpers
import pytest

from keras_roots.training.stages import Context


@pytest.fixture
def context(tmp_path):
    return Context(
        helpers.noise(), tmp_path / "run", say=lambda line: None, verbose=False
    )
