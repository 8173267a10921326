"""Options: described, checked and changed in one place."""

import dataclasses

import pytest

from keras_roots.training.options import (
    REQUIRED,
    changes_of,
    limits_of,
    option,
    options,
)


@options
class Cake:
    """A cake."""

    layers: int = option(REQUIRED, "How many layers it has.", least=1)
    taste: str = option("plain", "What it tastes of.", choices=("plain", "lemon"))
    tins: tuple[str, ...] = option(("round",), "Tins.", choices=("round", "square"))
    sugar: float | None = option(None, "Sugar, as a part.", least=0, most=1)
    baker: str = "nobody"

    def __post_init__(self):
        if self.taste == "lemon" and self.layers > 3:
            raise ValueError("`layers` must be at most 3 with lemon")


def test_a_class_of_options_is_a_frozen_dataclass():
    cake = Cake(2)
    assert (cake.layers, cake.taste, cake.tins) == (2, "plain", ("round",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        cake.layers = 3
    with pytest.raises(TypeError):
        Cake()


def test_attributes_are_documented():
    assert Cake.__doc__.startswith("A cake.")
    assert "Attributes:\n        layers: How many layers it has." in Cake.__doc__
    assert "baker" not in Cake.__doc__
    assert [field.name for field in limits_of(Cake)] == [
        "layers",
        "taste",
        "tins",
        "sugar",
    ]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"layers": 0}, "`layers` must be at least 1. Received: layers=0"),
        ({"layers": "two"}, "`layers` must be at least 1"),
        ({"layers": True}, "`layers` must be at least 1"),
        ({"taste": "salt"}, "`taste` must be one of"),
        ({"tins": ("heart",)}, "`tins` must be of"),
        ({"sugar": 1.5}, "`sugar` must be at most 1"),
        ({"sugar": float("nan")}, "`sugar` must be at least 0"),
        ({"taste": "lemon", "layers": 4}, "at most 3 with lemon"),
    ],
)
def test_values_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Cake(**{"layers": 2, **changes})
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Cake(2), **changes)


def test_children_have_the_options_of_their_parents():
    @options
    class Pie(Cake):
        """A pie."""

        fruit: str = option("apple", "Fruit.")

    assert [field.name for field in limits_of(Pie)][-1] == "fruit"
    assert "fruit: Fruit." in Pie.__doc__
    assert "layers: How many" in Pie.__doc__
    with pytest.raises(ValueError, match="at most 3 with lemon"):
        Pie(4, "lemon")


def test_changes_name_what_differs():
    changes_class = changes_of(Cake, "the baker's")
    assert changes_class().given() == {}
    assert changes_class(layers=0, taste="lemon").given() == {
        "layers": 0,
        "taste": "lemon",
    }
    texts = [limits.help for limits in limits_of(changes_class).values()]
    assert texts[0] == "How many layers it has. By default, the baker's."


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300])
def test_numbers_without_limits_are_finite_too(value):
    @options
    class Salt:
        """Salt."""

        grams: float = option(1.0, "How much.")

    with pytest.raises(ValueError, match="`grams` must be a finite number"):
        Salt(value)
