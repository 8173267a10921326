"""Recipes as rows of a table, and what they may hold."""

import dataclasses

import pytest

from keras_roots.models import list_models
from keras_roots.training.trainer.recipes import (
    RECIPES,
    Changes,
    Recipe,
    get_recipe,
)

NAMES = {name.partition(":")[0] for name in list_models()}


@pytest.mark.parametrize("key", RECIPES, ids=str)
def test_rows_are_for_models_that_there_are(key):
    model, _ = key
    assert model is None or model in NAMES


@pytest.mark.parametrize("model", sorted(NAMES))
@pytest.mark.parametrize("dataset", ["digits", "cifar10", "imagenet2012", "photos/"])
def test_every_model_has_a_recipe_for_every_data_set(model, dataset):
    assert get_recipe(model, dataset).epochs > 0


def test_a_row_of_a_model_comes_first():
    assert get_recipe("root_convnet", "cifar10").learning_rate == 0.001
    assert get_recipe("root_resnet20", "cifar10").schedule == "step"
    assert get_recipe("root_nin", "cifar10").learning_rate == 0.1
    assert get_recipe("root_alexnet", "folder").learning_rate == 0.01


@pytest.mark.parametrize("model", sorted(NAMES))
@pytest.mark.parametrize("dataset", ["arrays", "photos/", "images.npz", "tf_flowers"])
def test_images_that_nobody_knows_are_not_varied(model, dataset):
    assert get_recipe(model, dataset).augmentation == "none"
    asked = get_recipe(model, dataset, augmentation="pad_crop")
    assert asked.augmentation == "pad_crop"


@pytest.mark.parametrize(
    "model, dataset, augmentation",
    [
        ("root_nin", "cifar10", "pad_crop_mirror"),
        ("root_alexnet", "cifar10", "pad_crop_mirror"),
        ("root_nin", "cifar10-sample", "crop_mirror"),
        ("root_alexnet", "imagenette/160px-v2", "crop_mirror"),
        ("root_resnet50", "imagenette/160px-v2", "crop_mirror"),
        ("root_convnet", "cifar10", "none"),  # as Caffe's
        ("root_alexnet", "digits", "pad_crop"),
    ],
)
def test_known_data_sets_have_their_augmentation(model, dataset, augmentation):
    assert get_recipe(model, dataset).augmentation == augmentation


def test_fields_are_changed_but_for_none():
    changed = get_recipe("root_nin", "cifar10", epochs=3, momentum=None)
    expected = dataclasses.replace(get_recipe("root_nin", "cifar10"), epochs=3)
    assert changed == expected
    assert get_recipe("root_nin", "cifar10", **Changes(epochs=3).given()) == expected


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epochs": 0}, "`epochs` must be an integer, 1 or more"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a finite number above 0"),
        ({"warmup": 1.0}, "`warmup` must be a number from 0 and below 1"),
        ({"momentum": -0.1}, "`momentum` must be"),
        ({"ema": 1.0}, "`ema` must be"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be"),
        ({"weight_decay": -1.0}, "`weight_decay` must be at least 0"),
        ({"schedule": "cosine"}, "`schedule` must be one of"),
        ({"precision": "float16"}, "`precision` must be one of"),
        ({"augmentation": "spin"}, "`augmentation` must be one of"),
        ({"flip": "never"}, "`flip` must be one of"),
        ({"flip": "alternating"}, "`flip` can be .* where `augmentation` flips"),
        ({"initial_size": 0}, "`initial_size` must be"),
        ({"initial_size": 6.5}, "`initial_size` must be an integer"),
        ({"initial_part": 0.0}, "`initial_part` must be a number above 0 and below 1"),
        ({"initial_part": 1.0}, "`initial_part` must be a number above 0 and below 1"),
    ],
)
def test_impossible_fields(changes, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"epochs": 1, "batch_size": 8, "learning_rate": 0.1, **changes})


@pytest.mark.parametrize(
    "changes, phases",
    [
        ({"epochs": 5}, [(range(5), None)]),
        ({"epochs": 80, "initial_size": 24}, [(range(48), 24), (range(48, 80), None)]),
        (
            {"epochs": 10, "initial_size": 6, "initial_part": 0.25},
            [(range(2), 6), (range(2, 10), None)],
        ),
        ({"epochs": 1, "initial_size": 6}, [(range(0), 6), (range(1), None)]),
        (
            {"epochs": 2, "initial_size": 6, "initial_part": 0.99},
            [(range(1), 6), (range(1, 2), None)],
        ),
    ],
)
def test_images_have_their_full_size_in_the_end(changes, phases):
    assert Recipe(batch_size=8, learning_rate=0.1, **changes).phases() == phases
