import time

import numpy as np
import pytest

import keras_roots
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.training.data import batches, datasets
from keras_roots.training.reports import throughput
from keras_roots.training.trainer.recipes import Recipe, get_recipe


@pytest.fixture(scope="module")
def network():
    return keras_roots.RootNiN(
        root=8, classes=3, input_shape=(8, 8, 3), classifier_activation=None
    )


def test_stock_layers_compute_the_same(network):
    stock = throughput.with_stock_layers(network)
    assert not any(isinstance(layer, GroupedConv2D) for layer in stock.layers)
    assert stock.get_layer("conv2a").groups == 8
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(
        stock(images).numpy(), network(images).numpy(), rtol=1e-4, atol=1e-4
    )


@pytest.fixture
def data_set(tmp_path):
    """Path of a data set of 12 images."""
    rng = np.random.default_rng(0)
    path = tmp_path / "data.npz"
    images = rng.integers(0, 256, (12, 8, 8, 3), "uint8")
    labels = np.arange(12) % 3
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return str(path)


def test_cases_without_a_data_set():
    cases = throughput.make_trainees(
        ["root_nin:1", "root_nin:8"],
        precisions=["float32", "mixed_bfloat16"],
        image_size=8,
    )
    assert [(case.name, case.recipe.precision) for case in cases] == [
        ("root_nin:1", "float32"),
        ("root_nin:1", "mixed_bfloat16"),
        ("root_nin:8", "float32"),
        ("root_nin:8", "mixed_bfloat16"),
    ]
    assert {case.recipe.batch_size for case in cases} == {128}
    assert {case.model.input_shape for case in cases} == {(None, 8, 8, 3)}
    assert {case.dataset for case in cases} == {None}


def test_cases_take_the_recipes_and_sizes_of_their_data_sets(data_set):
    cases = throughput.make_trainees(
        ["root_nin:1", "root_nin:8"], ["digits", data_set], image_size=16
    )
    for case, name, size, classes in zip(
        cases, ("digits", data_set), (32, 8), (10, 3), strict=True
    ):
        assert case.dataset.name == name
        assert case.recipe == get_recipe("root_nin", name)
        assert case.model.input_shape == (None, size, size, 3)
        assert case.model.output_shape == (None, classes)
    both = throughput.make_trainees(["root_nin:1", "root_nin:8"], ["digits"])
    assert [case.dataset.name for case in both] == ["digits", "digits"]
    with pytest.raises(ValueError, match="`datasets` must.*one for each.*: 2 for 1"):
        throughput.make_trainees(["root_nin:1"], ["digits", data_set])


def test_networks_are_measured_in_turns_and_with_stock_layers(network):
    dense = keras_roots.RootNiN(
        root=1, classes=3, input_shape=(8, 8, 3), classifier_activation=None
    )
    lines = []
    recipe = Recipe(1, 4, 0.01)
    rows = throughput.measure_throughput(
        [
            throughput.Trainee("dense", dense, recipe),
            throughput.Trainee("root-8", network, recipe),
        ],
        stock=True,
        turns=2,
        seconds=0,
        progress=lines.append,
    )
    assert [(row.name, row.layer) for row in rows] == [
        ("dense", "keras Conv2D"),
        ("root-8", "GroupedConv2D"),
        ("root-8", "keras Conv2D"),
    ]
    assert rows[0].ratio == 1
    for row in rows:
        assert 0 < row.low <= row.images_per_second <= row.high
        assert row.data_images_per_second is None
    assert lines[-1] == "measured turn 2 of 2"
    table = throughput.format_throughputs(rows)
    assert "GroupedConv2D" in table
    assert f"{rows[0].images_per_second:.1f}" in table
    assert "on data" not in table


def test_the_input_is_measured_with_and_without_the_network(
    network, data_set, monkeypatch
):
    """A pipeline that takes half a second per batch of four shows in both figures."""
    dataset = datasets.open_dataset(data_set)
    recipe = Recipe(1, 4, 0.01, augmentation="pad_crop_mirror")
    made = []

    def slow_batches(split, **arguments):
        assert split is dataset.train
        for batch in train_batches(split, **arguments):
            time.sleep(0.5)
            made.append(batch)
            yield batch

    train_batches = batches.train_batches
    monkeypatch.setattr(throughput.data, "train_batches", slow_batches)
    monkeypatch.setattr(throughput, "_MADE_AHEAD", 1)
    (row,) = throughput.measure_throughput(
        [throughput.Trainee("root-8", network, recipe, dataset)], turns=1, seconds=0
    )
    assert row.dataset == data_set
    assert [tuple(images.shape) for images, _ in made] == [(4, 8, 8, 3)] * 3
    assert 4 < row.input_images_per_second < 8
    assert row.data_images_per_second < 8
    assert row.data_ratio == row.data_images_per_second / row.images_per_second
    table = throughput.format_throughputs([row])
    assert f"{row.data_images_per_second:.1f}" in table
