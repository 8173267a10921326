"""Weights: to a file and back, with and without what may differ, and bad files."""

import importlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from helpers import pixels

from keras_roots import create_model, list_models
from keras_roots.models import weights

pytestmark = pytest.mark.usefixtures("shallow")


def small(model_name, facts, **kwargs):
    shape = (facts.side, facts.side, 3)
    return create_model(model_name, **{"input_shape": shape, "classes": 7, **kwargs})


_SAVED = {}


@pytest.fixture
def saved(model_name, facts, tmp_path_factory):
    """A model and the path of its weights; made once, so leave both alone."""
    if model_name not in _SAVED:
        model = small(model_name, facts, root=facts.root)
        path = str(tmp_path_factory.mktemp(model_name) / "model.weights.h5")
        model.save_weights(path)
        _SAVED[model_name] = model, path
    return _SAVED[model_name]


def test_round_trip(saved, model_name, facts):
    """Into a model without normalisation, whose input is normalised outside."""
    model, path = saved
    page = importlib.import_module(f"keras_roots.models.{facts.module}")
    images = pixels(2, facts.side)
    expected = np.asarray(model(images))
    again = small(model_name, facts, root=facts.root, weights=path)
    np.testing.assert_array_equal(again(images), expected)
    bare = small(
        model_name, facts, root=facts.root, weights=path, include_preprocessing=False
    )
    assert "normalization" not in [layer.name for layer in bare.layers]
    normalised = (images - np.array(facts.mean)) / np.array(facts.std)
    np.testing.assert_allclose(page.preprocess_input(images), normalised, atol=1e-4)
    np.testing.assert_allclose(bare(normalised), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["root_convnet", "root_nin", "root_resnet20"])
def test_from_a_model_without_normalisation(name, all_facts, tmp_path):
    facts = all_facts[name]
    bare = small(name, facts, root=facts.root, include_preprocessing=False)
    path = str(tmp_path / "bare.weights.h5")
    bare.save_weights(path)
    model = small(name, facts, root=facts.root, weights=path)
    for mine, theirs in zip(model.weights, bare.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_without_top_from_a_file_with_one(saved, model_name, facts):
    model, path = saved
    features = small(
        model_name, facts, root=facts.root, weights=path, include_top=False
    )
    names = [layer.name for layer in features.layers if layer.weights]
    assert names
    for name in names:
        for mine, theirs in zip(
            features.get_layer(name).weights,
            model.get_layer(name).weights,
            strict=True,
        ):
            np.testing.assert_array_equal(mine, theirs)


# Between them these hold every kind of layer.
@pytest.mark.parametrize("name", ["root_alexnet", "root_convnet", "root_resnet20"])
def test_keras_file_round_trip(name, all_facts, tmp_path):
    facts = all_facts[name]
    model = small(name, facts, root=facts.root)
    path = str(tmp_path / "model.keras")
    model.save(path)
    images = pixels(2, facts.side)
    expected = np.asarray(model(images))
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(loaded(images), expected, rtol=1e-5, atol=1e-6)
    from_weights = small(name, facts, root=facts.root, weights=path)
    np.testing.assert_allclose(from_weights(images), expected, rtol=1e-5, atol=1e-6)


def test_truncated_file(saved, model_name, facts, tmp_path):
    data = Path(saved[1]).read_bytes()
    path = tmp_path / "part.weights.h5"
    path.write_bytes(data[: int(len(data) * 0.9)])
    with pytest.raises(ValueError, match="`weights` file .*whole .weights.h5") as error:
        small(model_name, facts, root=facts.root, weights=str(path))
    assert str(path) in str(error.value)


def test_no_file_takes_the_place_of_released_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    released = create_model("root_convnet", weights="cifar10")
    (tmp_path / "cifar10").write_bytes(b"of somebody else")
    found = create_model("root_convnet", weights="cifar10")
    for ours, theirs in zip(found.weights, released.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    (tmp_path / "own").write_bytes(b"")
    with pytest.raises(ValueError, match="; write './own' for the file$"):
        create_model("root_convnet", weights="own")


def test_weights_far_larger_than_their_file(tmp_path):
    path = tmp_path / "large.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**40,), "float32", chunks=(2**20,))
    with pytest.raises(ValueError, match="`weights` file .* its arrays would take"):
        create_model("root_convnet", weights=str(path))


@pytest.mark.parametrize("content", [b"", b"not a weights file at all"])
def test_no_weights_file(content, tmp_path):
    path = tmp_path / "other.weights.h5"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="`weights` file .*whole .weights.h5"):
        create_model("root_nin", weights=str(path))


def test_weights_of_another_model(saved, all_facts, model_name):
    _, path = saved
    names = list_models()
    other = names[(names.index(model_name) + 1) % len(names)]
    with pytest.raises(ValueError, match=f"does not fit the model '{other}") as error:
        small(other, all_facts[other], weights=path)
    assert path in str(error.value)


def test_weights_of_another_root(saved, model_name, facts):
    _, path = saved
    with pytest.raises(ValueError, match="`weights` file .*same root and classes"):
        small(model_name, facts, root=1, weights=path)


def test_weights_of_other_classes(saved, model_name, facts):
    """All but the last layer's weights are taken, which a warning says."""
    trained, path = saved
    with pytest.warns(UserWarning, match="other classes than .*new and random"):
        model = small(model_name, facts, root=facts.root, classes=5, weights=path)
    *body, last = [layer for layer in model.layers if layer.weights]
    assert last.get_weights()[-1].shape == (5,)
    for layer in body:
        theirs = trained.get_layer(layer.name).get_weights()
        for own, their in zip(layer.get_weights(), theirs, strict=True):
            np.testing.assert_array_equal(own, their)


def test_released_weights_for_other_classes():
    with pytest.warns(UserWarning, match="other classes than 'root_nin_8'"):
        model = create_model("root_nin:8", weights="cifar10", classes=3)
    trained = create_model("root_nin:8", weights="cifar10")
    for name in ("conv1a", "conv2b_bn", "conv3b"):
        for own, their in zip(
            model.get_layer(name).get_weights(),
            trained.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(own, their)


def test_a_folder_is_no_weights_file(tmp_path):
    with pytest.raises(ValueError, match="`weights`"):
        create_model("root_nin", weights=str(tmp_path))


def test_released_weights_and_another_activation(monkeypatch):
    monkeypatch.setattr(weights, "find", lambda *_: "some.weights.h5")
    with pytest.raises(ValueError, match="Only `None` and `softmax`.*=relu"):
        create_model("root_nin", weights="cifar10", classifier_activation="relu")
