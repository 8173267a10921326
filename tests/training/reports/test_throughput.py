import time

import helpers
import pytest

import keras_roots
from keras_roots.training.data import batches, datasets
from keras_roots.training.reports import throughput
from keras_roots.training.trainer.recipes import Recipe


@pytest.fixture(scope="module")
def network():
    return keras_roots.RootNiN(
        root=8, classes=3, input_shape=(8, 8, 3), classifier_activation=None
    )


@pytest.fixture
def data_set(tmp_path):
    """Path of a data set of 12 images of three classes."""
    return helpers.colours(tmp_path / "data.npz", train=12, test=12)


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
