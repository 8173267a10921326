"""The bar on the terminal."""

import io
import sys

import pytest

from keras_roots.utils import progress


class _Terminal(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.isatty = lambda: is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_is_drawn_on_a_terminal_alone(monkeypatch, is_terminal):
    screen = _Terminal(is_terminal)
    monkeypatch.setattr(sys, "stdout", screen)
    assert list(progress([4, 5, 6])) == [4, 5, 6]
    assert ("3/3" in screen.getvalue()) is is_terminal
    assert list(progress(iter("ab"), "batch", count=2)) == ["a", "b"]
    assert ("2/2" in screen.getvalue()) is is_terminal
