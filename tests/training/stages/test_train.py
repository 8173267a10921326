"""Stages that train, plainly and with forces."""

import csv
import dataclasses

import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.models import googlenet
from keras_roots.training import trainer
from keras_roots.training.data import open_dataset
from keras_roots.training.networks import Zoo
from keras_roots.training.stages.context import Context
from keras_roots.training.stages.stage import run
from keras_roots.training.stages.train import Force, Forces, Train, train
from keras_roots.training.trainer import Recipe

RECIPE = Recipe(2, 8, 0.05)


@pytest.fixture
def model():
    return helpers.convolutions()


def spread(model, name):
    """Mean distance between the directions of a layer's filters."""
    kernel = model.get_layer(name).kernel.numpy()
    filters = kernel.reshape(-1, kernel.shape[-1]).T
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    return np.linalg.norm(filters[:, None] - filters[None], axis=-1).mean()


def test_training(model, context, tmp_path):
    stage = Train(recipe=Recipe(5, 8, 0.1))
    assert stage.with_epochs(0) is None
    before = model.get_weights()
    small, extra = stage.with_epochs(1).run(model, tmp_path, context)
    assert extra["epochs"] == 1
    assert extra["seconds"] > 0
    assert not np.allclose(small.get_weights()[0], before[0])
    with open(tmp_path / "log.csv", newline="") as file:
        assert [line["epoch"] for line in csv.DictReader(file)] == ["1"]


def test_forces_draw_the_filters_of_the_chosen_layers(model, context, tmp_path):
    names = ("first", "wide", "spatial", "last")
    before = {name: spread(model, name) for name in names}
    stage = Force(recipe=RECIPE, forces=Forces(strength=0.5, layers="pointwise"))
    found, extra = stage.run(model, tmp_path, context)
    assert found is model
    assert extra["epochs"] == RECIPE.epochs
    nearer = {name for name in names if spread(model, name) < 0.9 * before[name]}
    assert nearer == {"wide", "last"}
    log = trainer.read_log(tmp_path)
    columns = ("rank", "mean_direction")
    wanted = {f"{name} {column}" for name in nearer for column in columns}
    assert wanted == {name for name in log[0] if " " in name}
    ranks = keras_roots.rank_analysis(model, layers=list(nearer)).layers
    for layer in ranks:
        logged = float(log[-1][f"{layer.name} mean_direction"])
        assert logged == pytest.approx(layer.mean_direction, abs=1e-4)
        assert int(log[-1][f"{layer.name} rank"]) == layer.rank
    assert not any(getattr(each, "kernel_regularizer", 0) for each in model.layers)


def test_forces_last_as_long_as_other_training():
    stage = Force(recipe=RECIPE, forces=Forces(layers="pointwise"))
    assert stage.with_epochs(0) is None
    recipe = dataclasses.replace(RECIPE, epochs=9)
    assert stage.with_epochs(9) == dataclasses.replace(stage, recipe=recipe)


def test_forces_relative_to_the_gradient(model, context, tmp_path):
    before = spread(model, "last")
    forces = Forces(strength=20.0, relative=True)
    Force(recipe=RECIPE, forces=forces).run(model, tmp_path, context)
    assert spread(model, "last") < before


def test_the_layers_of_the_paper_are_those_of_its_networks(context):
    forces = Forces(layers="paper")
    Force(recipe=RECIPE, forces=forces, family="root_resnet20").check()
    for family in ("root_nin", None):
        stage = Force(recipe=RECIPE, forces=forces, family=family)
        with pytest.raises(ValueError, match="for the paper's networks"):
            run([stage], context, helpers.convolutions, {})
    assert not context.folder.exists()


def test_a_network_that_is_no_classifier_is_refused(context):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Activation("relu")(x))
    with pytest.raises(ValueError, match="must end in a softmax"):
        run([Train(recipe=RECIPE)], context, lambda: model, {})
    assert not list((context.folder / "trained").iterdir())  # free for another try


def test_auxiliary_heads_help_in_training_only(tmp_path, monkeypatch):
    read = {name: googlenet.MODULES[name] for name in googlenet.AUXILIARY.values()}
    monkeypatch.setattr(googlenet, "MODULES", read)
    dataset = open_dataset(helpers.colours(tmp_path / "c.npz", 16, 8, 32))
    context = Context(dataset, tmp_path / "run", say=lambda line: None, verbose=False)
    network = Zoo(model="root_googlenet", root=8, image_size=32)
    result = train(network, Recipe(1, 8, 0.001), context)
    assert 0 <= result["top1"] <= 1
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert len(model.outputs) == 1
    plain = keras_roots.RootGoogLeNet(root=8, input_shape=(32, 32, 3), classes=3)
    assert result["params"] == keras_roots.profile(plain).params


@pytest.mark.parametrize("relative", [False, True])
def test_forces_on_a_network_that_is_trained_on_smaller_images_first(
    model, context, tmp_path, relative
):
    recipe = dataclasses.replace(RECIPE, initial_size=6)
    stage = Force(recipe=recipe, forces=Forces(strength=0.5, relative=relative))
    found, _ = stage.run(model, tmp_path, context)
    assert found.input_shape == (None, 8, 8, 3)


def test_a_recipe_that_does_not_fit_the_network_leaves_its_folder_free(context):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    recipe = dataclasses.replace(RECIPE, initial_size=6)
    with pytest.raises(ValueError, match="`initial_size` needs a network"):
        run([Train(recipe=recipe)], context, lambda: model, {})
    assert not list((context.folder / "trained").iterdir())
