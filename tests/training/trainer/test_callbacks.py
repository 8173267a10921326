"""Callbacks of the trainer: log, checkpoints, random states, and the stop at a NaN."""

import h5py
import keras
import numpy as np
import pytest

from keras_roots.training.trainer.callbacks import (
    Checkpoint,
    Log,
    Reseed,
    StopAtNaN,
)
from keras_roots.training.trainer.checkpoints import BEST, LAST, read_log

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = X @ np.ones((4, 1), "float32")


def network():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="top")])
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def log(folder, first_epoch=0, echo=False):
    return Log(
        folder, first_epoch=first_epoch, images=16, monitor="val_loss", echo=echo
    )


def fit(model, callbacks, epochs, first_epoch=0):
    model.fit(
        X,
        Y,
        epochs=epochs,
        initial_epoch=first_epoch,
        validation_data=(X, Y),
        callbacks=callbacks,
        verbose=0,
    )


def test_a_row_per_epoch(tmp_path, capsys):
    fit(network(), [log(tmp_path, echo=True)], 2)
    rows = read_log(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["learning_rate"]) == pytest.approx(0.05)
    assert {"loss", "val_loss", "seconds", "images_per_second"} <= set(rows[0])
    assert "epoch 2/2  learning_rate 0.05" in capsys.readouterr().out


def test_rows_of_an_epoch_that_is_done_again_are_dropped(tmp_path):
    fit(network(), [log(tmp_path)], 3)
    fit(network(), [log(tmp_path, first_epoch=1)], 3, first_epoch=1)
    assert [row["epoch"] for row in read_log(tmp_path)] == ["1", "2", "3"]


def test_no_log_has_no_rows(tmp_path):
    assert read_log(tmp_path) == []


def test_the_best_weights_are_kept_beside_the_last(tmp_path):
    rows = log(tmp_path)
    rows.is_best = lambda: len(rows.rows) == 1
    trained, best = network(), network()
    after = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: after.append(trained.get_weights())
    )
    fit(trained, [rows, note, Checkpoint(tmp_path, rows, best)], 3)
    for file, epoch in ((BEST, 0), (LAST, 2)):
        loaded = network()
        loaded.optimizer.build(loaded.trainable_variables)
        loaded.load_weights(tmp_path / file)
        for found, want in zip(loaded.get_weights(), after[epoch], strict=True):
            np.testing.assert_array_equal(found, want)
    assert int(loaded.optimizer.iterations) == 3


class Clock:
    """A clock on which an epoch takes 30 seconds, and saving one."""

    def __init__(self, model, monkeypatch):
        self.now = 0.0
        save = model.save_weights

        def slow(name):
            self.now += 1
            save(name)

        monkeypatch.setattr(model, "save_weights", slow)

    def __call__(self):
        return self.now

    def epoch(self, epoch, logs=None):
        self.now += 30


@pytest.mark.parametrize(
    ("every", "epochs", "saved"),
    [
        (1, 3, [1, 2, 3]),
        (2, 5, [2, 4, 5]),
        (3, 2, [2]),
        # The first epoch; a second is a hundredth of four epochs' time, but not of
        # three; the last one.
        (None, 11, [1, 5, 9, 11]),
    ],
)
def test_a_checkpoint_after_some_epochs(every, epochs, saved, tmp_path, monkeypatch):
    trained, rows = network(), log(tmp_path)
    rows.is_best = lambda: False
    clock, found = Clock(trained, monkeypatch), []

    def look(epoch, logs):
        if (tmp_path / LAST).exists():
            with h5py.File(tmp_path / LAST) as file:
                found.append(int(file["optimizer/vars/0"][()]))

    callbacks = [
        keras.callbacks.LambdaCallback(on_epoch_begin=clock.epoch),
        rows,
        Checkpoint(tmp_path, rows, network(), every=every, clock=clock),
        keras.callbacks.LambdaCallback(on_epoch_end=look),
    ]
    fit(trained, callbacks, epochs)
    assert sorted(set(found)) == saved


def test_the_best_weights_are_saved_with_the_state(tmp_path):
    """A run that goes on from the state finds the best of later epochs again."""
    rows = log(tmp_path)
    rows.is_best = lambda: True
    there = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: there.append(
            ((tmp_path / BEST).exists(), (tmp_path / LAST).exists())
        )
    )
    fit(network(), [rows, Checkpoint(tmp_path, rows, network(), every=2), note], 3)
    assert there == [(False, False), (True, True), (True, True)]


def test_the_best_epoch_is_the_highest_so_far():
    rows = Log("unused", first_epoch=0, images=1, monitor="x", echo=False)
    best = []
    for value in (0.5, 0.7, 0.6, 0.7, 0.8):
        rows.rows.append({"x": value})
        best.append(rows.is_best())
    assert best == [True, True, False, False, True]


def test_dropout_is_the_same_in_an_epoch_however_often_it_starts():
    def states(epochs):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5, seed=1)])
        callback = Reseed(7)
        callback.set_model(model)
        for epoch in epochs:
            callback.on_epoch_begin(epoch)
        return [np.array(v) for v in model.variables]

    (straight,), (resumed,), (other,) = states([0, 1, 2]), states([2]), states([1])
    np.testing.assert_array_equal(straight, resumed)
    assert (straight != other).any()


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    callback = StopAtNaN(tmp_path, every=2)
    callback.on_epoch_begin(3)
    callback.on_train_batch_end(0, {"loss": float("nan")})  # is not looked at
    with pytest.raises(FloatingPointError, match="loss is not finite in epoch 4"):
        callback.on_train_batch_end(1, {"loss": float("nan")})
    with pytest.raises(FloatingPointError, match="There is no checkpoint yet"):
        callback.on_epoch_end(3, {"loss": 1.0, "val_loss": float("inf")})
    (tmp_path / LAST).write_bytes(b"")
    with pytest.raises(FloatingPointError, match="The last checkpoint stays in .*last"):
        callback.on_epoch_end(3, {"loss": float("nan")})
    callback.on_epoch_end(3, {"loss": 1.0})
