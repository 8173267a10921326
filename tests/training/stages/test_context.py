"""Where stages take place."""

import helpers
import keras
import pytest

from keras_roots.training.stages.context import Context, Run, TrainingRun
from keras_roots.training.stages.stage import run
from keras_roots.training.stages.train import Train
from keras_roots.training.trainer import Recipe


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


def test_how_often_a_training_is_saved_is_no_part_of_its_configuration(tmp_path):
    dataset = helpers.noise()
    stages = [Train("", recipe=Recipe(1, 8, 0.01))]
    for every in (1, 3, None):
        context = TrainingRun(str(tmp_path / "run"), save_every=every).context(
            dataset, verbose=False, say=lambda line: None
        )
        run(stages, context, helpers.convolutions, {})
    assert "save_every" not in (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(ValueError, match="`save_every` must be at least 1"):
        TrainingRun(save_every=0)
