"""Training of twins in tf_keras."""

import csv
import importlib.util

import helpers
import numpy as np
import pytest

from keras_roots import tf_keras_twin
from keras_roots.training.data import open_dataset
from keras_roots.training.stages import optimize
from keras_roots.training.stages.optimize import Optimization
from keras_roots.training.trainer import Recipe

needs_tfmot = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="needs the extra `optimize`",
)
RECIPE = Recipe(2, 8, 0.01, augmentation="pad_crop")
SETTINGS = {
    "qat": Optimization("qat"),
    "prune": Optimization("prune", sparsity=0.75, begin=0.1, end=0.8),
    "cluster": Optimization("cluster", clusters=4),
}


@pytest.fixture
def dataset(tmp_path):
    return open_dataset(helpers.colours(tmp_path / "colours.npz"))


@pytest.fixture
def model():
    return helpers.convolutions()


@needs_tfmot
@pytest.mark.parametrize(
    "method",
    [
        "prune",
        pytest.param("cluster", marks=pytest.mark.slow),
        pytest.param("qat", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_goes_on(method, model, dataset, tmp_path):
    """Weights, ranges, masks, clusters and momentum are those of a run in one go."""
    import tf_keras

    from keras_roots.training.stages.twin_training import fit
    from keras_roots.training.trainer.fit import set_seed
    from keras_roots.training.trainer.prepare import prepare

    def stop(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    def run(folder, callbacks=()):
        set_seed(0)
        trainee = prepare(model, RECIPE)
        samples = dataset.train.sample(8, 8, 0)
        twin = optimize.METHODS[method].make(trainee, SETTINGS[method], 10, samples)
        folder.mkdir(exist_ok=True)
        callbacks = [*callbacks, tf_keras_twin.pruning_callback()]
        arguments = (twin, model, dataset, RECIPE, folder)
        variables = twin.weights
        try:
            fit(*arguments, callbacks=callbacks, verbose=False)
        except KeyboardInterrupt:
            return None
        return [variable.numpy() for variable in variables]

    at_once = run(tmp_path / "at_once")
    stopping = tf_keras.callbacks.LambdaCallback(on_epoch_begin=stop)
    assert run(tmp_path / "stopped", [stopping]) is None
    went_on = run(tmp_path / "stopped")
    for one, two in zip(at_once, went_on, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    with open(tmp_path / "stopped" / "log.csv", newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert len(rates) == 2 and rates[0] > rates[1]
    # Nothing is left to do.
    for one, two in zip(went_on, run(tmp_path / "stopped"), strict=True):
        np.testing.assert_array_equal(one, two)
