"""The network that flags ask for."""

import keras
import numpy as np
import pytest
from absl.testing import flagsaver

from keras_roots.training.commands import flags as shared
from keras_roots.training.commands import start_flags
from keras_roots.training.data import datasets


@pytest.fixture
def parse():
    """Function that parses command-line arguments."""
    shared.define(*shared.TRAINING, "from")
    # An unparsed FLAGS cannot be saved.
    shared.FLAGS(["command"])
    with flagsaver.flagsaver():
        yield lambda *arguments: shared.FLAGS(["command", *arguments])
    shared.FLAGS.unparse_flags()


@pytest.fixture
def dataset():
    split = datasets.Arrays(np.zeros((1, 16, 16, 3), "uint8"), np.zeros(1, "int64"))
    return datasets.Dataset("mine", ("a", "b", "c"), split, split, split, 16)


def test_a_network_of_the_zoo(parse, dataset):
    parse("--model=root_nin", "--root=8,2", "--topology=tree", "--image_size=24")
    assert start_flags.describe() == {
        "from": None,
        "model": "root_nin",
        "root": (8, 2),
        "topology": "tree",
        "weights": None,
        "image_size": 24,
    }
    model = start_flags.start_model(dataset)
    assert model.input_shape == (None, 24, 24, 3)
    assert model.output_shape == (None, 3)
    groups = [model.get_layer(name).groups for name in ("conv2a", "conv3a")]
    assert groups == [8, 2]


def test_a_file(parse, dataset, tmp_path):
    path = str(tmp_path / "net.keras")
    keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Flatten()]).save(path)
    parse(f"--from={path}")
    assert start_flags.describe()["from"] == path
    assert start_flags.start_model(dataset).input_shape == (None, 9, 9, 3)


@pytest.mark.parametrize("argument", ["--from=a.keras", "--weights=cifar10"])
def test_one_trained_network(parse, argument):
    parse(argument)
    start_flags.check_trained()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --from, or --model with --weights: a trained network"),
        (["--from=a.keras", "--weights=cifar10"], "--weights, not both"),
    ],
)
def test_none_or_two(parse, arguments, message):
    parse(*arguments)
    with pytest.raises(ValueError, match=message):
        start_flags.check_trained()
