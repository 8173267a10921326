"""Fixture for tests of pictures."""

import pytest

from keras_roots.analysis import figures


@pytest.fixture
def drawn(monkeypatch):
    """List of the figures that were written."""
    written = []
    save = figures.save

    def keep(figure, path):
        written.append(figure)
        save(figure, path)

    monkeypatch.setattr(figures, "save", keep)
    return written
