import numpy as np
import pytest

import keras_roots
from keras_roots.layers import GroupedConv2D
from keras_roots.training import throughput
from keras_roots.training.recipes import Recipe


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


def test_networks_are_measured_in_turns_and_with_stock_layers(network):
    dense = keras_roots.RootNiN(
        root=1, classes=3, input_shape=(8, 8, 3), classifier_activation=None
    )
    lines = []
    rows = throughput.compare(
        {"dense": dense, "root-8": network},
        Recipe(1, 4, 0.01),
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
    assert lines[-1] == "measured turn 2 of 2"
    table = throughput.table(rows)
    assert "GroupedConv2D" in table
    assert f"{rows[0].images_per_second:.1f}" in table
