"""Files of runs that are damaged: read as they were written, or refused by name."""

import csv
import functools

import damages
import keras
import numpy as np
import pytest

from keras_roots import utils
from keras_roots.training.trainer import checkpoints


@functools.cache
def network():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="first"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="top"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for variable in state(model):
        if variable.dtype.startswith("float"):
            variable.assign(rng.normal(size=variable.shape))
    return model


def state(model):
    return [*model.variables, *model.optimizer.variables]


def values(model):
    return [np.asarray(variable) for variable in state(model)]


@pytest.mark.parametrize("damage", damages.OF_DISKS)
@pytest.mark.parametrize("name", [checkpoints.LAST, checkpoints.BEST])
def test_damaged_checkpoints(name, damage, tmp_path, faults, count):
    model, path = network(), tmp_path / name
    checkpoints.save_checkpoint(path, model.save_weights, "log")
    whole, expected = path.read_bytes(), values(model)
    rng = np.random.default_rng(len(damage.__name__))
    refused = 0
    for _ in range(faults):
        path.write_bytes(damage(whole, rng))
        for variable in state(model):
            variable.assign(np.zeros(variable.shape))
        try:
            checkpoints.load_checkpoint(path, model.load_weights)
        except ValueError as error:
            message = str(error)
            assert str(path) in message and "remove it: training" in message
            assert "\n" not in message
            refused += 1
        else:
            for found, value in zip(values(model), expected, strict=True):
                np.testing.assert_array_equal(found, value)
        finally:
            for variable, value in zip(state(model), expected, strict=True):
                variable.assign(value)
    assert refused > faults // 2
    count(f"damaged checkpoints: {damage.__name__}", faults)


@pytest.mark.parametrize("damage", damages.OF_DISKS)
def test_damaged_logs(damage, tmp_path, faults, count):
    rows = [
        {"epoch": i, "loss": 1 / i, "val_accuracy": 0.5 + i % 3 / 10, "seconds": 1.5}
        for i in range(1, 9)
    ]
    path = tmp_path / checkpoints.LOG
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    done = 6
    text = checkpoints.log_text(rows[:done])
    checkpoints.save_checkpoint(
        tmp_path / checkpoints.LAST, network().save_weights, text
    )
    whole = path.read_bytes()
    expected = checkpoints.resumed_log(tmp_path, done, "val_accuracy")
    assert len(expected) == done
    rng = np.random.default_rng(len(damage.__name__))
    refused = 0
    for _ in range(faults):
        path.write_bytes(damage(whole, rng))
        try:
            found = checkpoints.resumed_log(tmp_path, done, "val_accuracy")
        except ValueError as error:
            assert str(path) in str(error) and "or remove it and last" in str(error)
            refused += 1
        else:
            # What is damaged is of epochs that are done again.
            assert found == expected
    assert refused > faults // 4
    count(f"damaged logs: {damage.__name__}", faults)


@pytest.mark.parametrize("damage", damages.OF_DISKS)
def test_damaged_networks(damage, tmp_path, faults, count):
    path = tmp_path / "model.keras"
    utils.save_model(network(), path)
    whole, expected = path.read_bytes(), network().get_weights()
    rng = np.random.default_rng(len(damage.__name__))
    for _ in range(faults):
        path.write_bytes(damage(whole, rng))
        try:
            found = utils.load_model(path).get_weights()
        except ValueError as error:
            message = str(error)
            assert str(path) in message and "must be a whole .keras file" in message
        else:
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)
    count(f"damaged networks: {damage.__name__}", faults)
