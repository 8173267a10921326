"""Model cards of the released networks."""

from pathlib import Path

import pytest

import keras_roots
from keras_roots.models import released_index
from keras_roots.training.reports import cards

ZOO = Path(__file__).parents[3] / "zoo"
CARDS = sorted((ZOO / "cards").iterdir())


def _entries(family):
    return [entry for entry in released_index() if entry["model"] == family]


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.name)
def test_the_cards_of_the_package_are_of_its_index(path):
    assert path.read_text() == cards.card(path.stem, _entries(path.stem))


def test_every_model_has_what_its_card_says():
    assert set(cards.FAMILIES) == set(keras_roots.list_models())
    for family in cards.FAMILIES.values():
        assert getattr(keras_roots, family.constructor).__name__ == family.constructor
    assert {path.stem for path in CARDS} == {e["model"] for e in released_index()}


def test_a_card_per_family_is_written(tmp_path):
    entries = _entries("root_convnet")[:1] + _entries("root_nin")[:2]
    paths = cards.write(tmp_path, entries)
    assert [path.name for path in paths] == ["root_convnet.md", "root_nin.md"]
    assert paths[1].read_text() == cards.card("root_nin", entries[1:])
    assert paths[1].read_text().count("one run") == 2
