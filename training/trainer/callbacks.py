"""Callbacks of the trainer: log, checkpoints, random states, and the stop at a NaN."""

import contextlib
import math
import time
from pathlib import Path

import keras
import numpy as np

from keras_roots import utils
from keras_roots.training.trainer.checkpoints import (
    BEST,
    LAST,
    LOG,
    log_text,
    resumed_log,
    save_checkpoint,
)
from keras_roots.training.trainer.prepare import copy_weights

SAVING = 0.01  # part of the time that saving may take


class Log(keras.callbacks.Callback):
    """Writes one row per epoch to `log.csv`, and a line to the terminal.

    Args:
        directory: Output directory of the run.
        first_epoch: Epochs that are done; later rows of an existing log, of an epoch
            that was not finished, are dropped.
        begin: Epochs that were done before those of the log; `None` if that is not
            known.
        images: Training images per epoch.
        monitor: Metric that tells the best epoch.
        echo: Whether to print the line.
        epochs: Epochs of the run, for the line; by default those of the call of `fit`.
        figures: Function of the network that returns further columns, by name.

    Raises:
        ValueError: The log is damaged, or lacks an epoch that is done.
    """

    def __init__(
        self,
        directory,
        *,
        first_epoch,
        images,
        monitor,
        echo,
        begin=0,
        epochs=None,
        figures=lambda model: {},
    ):
        super().__init__()
        self.path = Path(directory, LOG)
        self.images = images
        self.monitor = monitor
        self.echo = echo
        self.epochs = epochs
        self.figures = figures
        first = None if begin is None else begin + 1
        self.rows = resumed_log(directory, first_epoch, monitor, first)

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._start = time.perf_counter()
        self._trained = None

    def on_test_begin(self, logs=None):
        """Stops the clock of the training part."""
        self._trained = time.perf_counter() - self._start

    def on_epoch_end(self, epoch, logs=None):
        """Writes the row."""
        seconds = time.perf_counter() - self._start
        row = {
            "epoch": epoch + 1,
            "learning_rate": float(self.model.optimizer.learning_rate),
            **{name: float(value) for name, value in logs.items()},
            "seconds": round(seconds, 2),
            "images_per_second": round(self.images / (self._trained or seconds), 1),
        }
        self.rows.append(row | self.figures(self.model))
        utils.write_csv(self.path, self.rows)
        if self.echo:
            figures = "  ".join(
                f"{name} {value:.4g}" for name, value in row.items() if name != "epoch"
            )
            epochs = self.epochs or self.params["epochs"]
            print(f"epoch {epoch + 1}/{epochs}  {figures}", flush=True)

    def is_best(self) -> bool:
        """Tells whether the last row is the best so far."""
        *before, now = (float(row[self.monitor]) for row in self.rows)
        return all(now > earlier for earlier in before)

    def since_best(self) -> int:
        """Returns the number of rows after the best one."""
        values = [float(row[self.monitor]) for row in self.rows]
        return len(values) - 1 - int(np.argmax(values)) if values else 0


class Patience(keras.callbacks.Callback):
    """Ends the training when it does not get better any more.

    Args:
        log: The run's log, which comes before this in the list of callbacks.
        epochs: Epochs to wait for a better one; `None` for any number.
    """

    def __init__(self, log, epochs):
        super().__init__()
        self.log = log
        self.epochs = epochs

    def is_over(self) -> bool:
        """Tells whether as many epochs were no better."""
        return self.epochs is not None and self.log.since_best() >= self.epochs

    def on_epoch_end(self, epoch, logs=None):
        """Ends the training if it is time to."""
        if self.is_over():
            self.model.stop_training = True


class Checkpoint(keras.callbacks.Callback):
    """Saves the last state with the optimiser's, and the best weights without.

    It does so after some epochs, the last among them: a run that is stopped does those
    since then again. A callback that ends the training comes before this one.

    Args:
        directory: Output directory of the run.
        log: The run's log, which comes before this in the list of callbacks.
        plain: The constructor's model; it holds the best weights of this process.
        averaged: The callback that holds averaged weights, if any.
        every: Epochs between two savings; `None` for the first epoch, and then for as
            few as keep the time of saving under `SAVING` of the whole.
        clock: Function that returns the time, in seconds.
    """

    def __init__(
        self,
        directory,
        log,
        plain,
        averaged=None,
        every=None,
        clock=time.perf_counter,
    ):
        super().__init__()
        self.directory = Path(directory)
        self.log = log
        self.plain = plain
        self.averaged = averaged
        self.every = every
        self.clock = clock
        self._saved = self._took = None
        self._is_new = False

    def on_epoch_end(self, epoch, logs=None):
        """Notes the best weights, and saves them and the state if it is time to."""
        if self.log.is_best():
            with averaged_weights(self.averaged):
                copy_weights(self.model, self.plain)
            self._is_new = True
        is_last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if is_last or self._is_time(epoch):
            self._save()

    def _is_time(self, epoch):
        if self.every is not None:
            return (epoch + 1) % self.every == 0
        return self._saved is None or (
            self._took <= SAVING * (self.clock() - self._saved)
        )

    def _save(self):
        start = self.clock()
        # In this order, a run that is killed in between does the epochs again.
        if self._is_new:
            save_checkpoint(self.directory / BEST, self.plain.save_weights)
            self._is_new = False
        save = self.model.save_weights
        save_checkpoint(self.directory / LAST, save, log_text(self.log.rows))
        self._saved = self.clock()
        self._took = self._saved - start


class Reseed(keras.callbacks.Callback):
    """Gives dropout the same random numbers in an epoch, however often it is started.

    Keras does not save the state of its random generators with the weights.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the state of every generator by seed and epoch."""
        random = np.random.default_rng((self.seed, epoch))
        weights = {id(weight) for weight in self.model.weights}
        for variable in self.model.variables:
            if id(variable) not in weights:
                variable.assign(random.integers(2**31, size=variable.shape))


class StopAtNaN(keras.callbacks.Callback):
    """Raises as soon as the loss is no number, before a checkpoint can be spoilt.

    Args:
        directory: Output directory of the run.
        every: Steps between two looks; a look waits for the device.
    """

    def __init__(self, directory, every=20):
        super().__init__()
        self.directory = Path(directory)
        self.every = every
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the epoch for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the mean loss so far, which keeps a NaN once it has one."""
        if (batch + 1) % self.every == 0:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Looks at every metric."""
        self._check(logs)

    def _check(self, logs):
        bad = [name for name, value in logs.items() if not math.isfinite(float(value))]
        if not bad:
            return
        last = self.directory / LAST
        kept = (
            f"The last checkpoint stays in {str(last)!r}"
            if last.exists()
            else "There is no checkpoint yet"
        )
        raise FloatingPointError(
            f"{' and '.join(bad)} is not finite in epoch {self.epoch + 1}: training "
            "has diverged. Try a lower `learning_rate` or a longer `warmup` in a new "
            f"folder. {kept}"
        )


@contextlib.contextmanager
def averaged_weights(averaged):
    """Puts the moving average into the model for a while, if there is one.

    Args:
        averaged: A `keras.callbacks.SwapEMAWeights`, or `None`.
    """
    if averaged is not None:
        averaged.on_test_begin()
    try:
        yield
    finally:
        if averaged is not None:
            averaged.on_test_end()
