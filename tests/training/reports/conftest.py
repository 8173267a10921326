"""Fixture for tests of pictures."""

import pytest

from keras_roots import analysis


@pytest.fixture
def drawn(monkeypatch):
    """List of the figures that were written."""
    written = []
    save = analysis.save

    def keep(figure, path):
        written.append(figure)
        save(figure, path)

    monkeypatch.setattr(analysis, "save", keep)
    return written
