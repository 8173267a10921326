"""Where stages take place."""

import helpers
import keras
import pytest

from keras_roots.training.stages.context import Context, Run, TrainingRun


def test_images_have_the_size_of_the_model(tmp_path):
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten()])
    context = Context(helpers.noise(), tmp_path)
    assert context.sample(model, 4).shape == (4, 16, 16, 3)


def test_where_a_run_takes_place():
    dataset = helpers.noise()
    context = TrainingRun("folder", 3, True, "one_device").context(dataset)
    assert (context.folder, context.seed) == ("folder", 3)
    assert (context.deterministic, context.distribution) == (True, "one_device")
    with pytest.raises(ValueError, match="`output_dir` is required"):
        Run().context(dataset)
