import helpers
import numpy as np
import pytest

import keras_roots
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.training.reports import trainees
from keras_roots.training.trainer.recipes import get_recipe


def test_stock_layers_compute_the_same():
    network = keras_roots.RootNiN(root=8, classes=3, input_shape=(8, 8, 3))
    stock = trainees.with_stock_layers(network)
    assert not any(isinstance(layer, GroupedConv2D) for layer in stock.layers)
    assert stock.get_layer("conv2a").groups == 8
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(
        stock(images).numpy(), network(images).numpy(), rtol=1e-4, atol=1e-4
    )


@pytest.fixture
def data_set(tmp_path):
    """Path of a data set of 12 images of three classes."""
    return helpers.colours(tmp_path / "data.npz", train=12, test=12)


def test_cases_without_a_data_set():
    cases = trainees.make_trainees(
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
    cases = trainees.make_trainees(
        ["root_nin:1", "root_nin:8"], ["digits", data_set], image_size=16
    )
    for case, name, size, classes in zip(
        cases, ("digits", data_set), (32, 8), (10, 3), strict=True
    ):
        assert case.dataset.name == name
        assert case.recipe == get_recipe("root_nin", name)
        assert case.model.input_shape == (None, size, size, 3)
        assert case.model.output_shape == (None, classes)
    both = trainees.make_trainees(["root_nin:1", "root_nin:8"], ["digits"])
    assert [case.dataset.name for case in both] == ["digits", "digits"]
    with pytest.raises(ValueError, match="`datasets` must.*one for each.*: 2 for 1"):
        trainees.make_trainees(["root_nin:1"], ["digits", data_set])
