import dataclasses

import keras
import numpy as np
import pytest

from keras_roots.training.trainer.recipes import RECIPES, Recipe, get_recipe
from keras_roots.training.trainer.schedules import PiecewiseLinear, make_schedule


def _rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_lines_between_points_as_numpy_interpolates():
    schedule = PiecewiseLinear([0, 10, 40], [0.01, 0.1, 0.0])
    steps = np.arange(0, 50, 3)
    want = np.interp(steps, [0, 10, 40], [0.01, 0.1, 0.0])
    np.testing.assert_allclose(_rates(schedule, steps), want, atol=1e-7)


def test_one_cycle_peaks_after_warm_up_and_ends_at_zero():
    schedule = make_schedule(Recipe(1, 1, 0.4, warmup=0.25), 1000)
    np.testing.assert_allclose(
        _rates(schedule, [0, 250, 625, 1000]), [0.04, 0.4, 0.2, 0.0], atol=1e-6
    )


def test_steps_drop_to_a_tenth_at_their_milestones():
    recipe = Recipe(1, 1, 0.1, schedule="step", warmup=0.0, milestones=(0.5, 0.75))
    schedule = make_schedule(recipe, 64_000)
    np.testing.assert_allclose(
        _rates(schedule, [0, 31_999, 32_000, 47_999, 48_000, 64_000]),
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001],
        rtol=1e-5,
    )


def test_steps_after_warm_up():
    recipe = Recipe(1, 1, 0.1, schedule="step", warmup=0.1, milestones=(0.5,))
    schedule = make_schedule(recipe, 100)
    np.testing.assert_allclose(
        _rates(schedule, [0, 5, 10, 49, 50, 99]),
        [0.01, 0.055, 0.1, 0.1, 0.01, 0.01],
        rtol=1e-5,
    )


def test_schedule_survives_the_optimizer_configuration():
    optimizer = keras.optimizers.SGD(PiecewiseLinear([0, 4], [0.1, 0.2]))
    again = keras.optimizers.SGD.from_config(optimizer.get_config())
    assert float(again.learning_rate) == pytest.approx(0.1)
    assert again._learning_rate.get_config() == {"steps": [0, 4], "rates": [0.1, 0.2]}


@pytest.mark.parametrize("steps,rates", [([], []), ([0, 1], [0.1]), ([5, 1], [1, 1])])
def test_impossible_points(steps, rates):
    with pytest.raises(ValueError, match="Received: steps="):
        PiecewiseLinear(steps, rates)


def test_every_recipe_is_possible():
    for model, dataset in RECIPES:
        get_recipe(model or "any", dataset or "any")


def test_recipe_takes_the_nearest_row_and_the_changes():
    assert get_recipe("root_nin", "cifar10").epochs == 60
    assert get_recipe("root_nin", "digits") == RECIPES[None, "digits"]
    of_model = dataclasses.replace(
        RECIPES["root_alexnet", None], augmentation=RECIPES[None, "digits"].augmentation
    )
    assert get_recipe("root_alexnet", "digits") == of_model
    assert get_recipe("root_nin", "/some/folder") == RECIPES[None, None]
    assert get_recipe("root_nin", "cifar10", epochs=3, warmup=None).epochs == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"batch_size": -1},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"warmup": 1.0},
        {"momentum": -0.1},
        {"ema": 1.5},
        {"label_smoothing": 1.0},
        {"weight_decay": -1e-4},
        {"schedule": "cosine"},
        {"precision": "int4"},
    ],
)
def test_impossible_recipe_names_the_field(changes):
    ((name, value),) = changes.items()
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
        get_recipe("root_nin", "cifar10", **changes)
