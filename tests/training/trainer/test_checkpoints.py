"""Checkpoints and logs of trainings: whole, or refused with a remedy."""

import csv

import keras
import numpy as np
import pytest

from keras_roots import models
from keras_roots.training.trainer.checkpoints import (
    BEST,
    LAST,
    LOG,
    load_checkpoint,
    log_text,
    read_log,
    resumed_log,
    save_checkpoint,
)


def network(seed=1):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="top")])
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def path(tmp_path):
    path = tmp_path / LAST
    save_checkpoint(path, network().save_weights, "text")
    return path


def weights(path):
    model = network(seed=2)
    load_checkpoint(path, model.load_weights)
    return model.get_weights()


def test_what_was_saved_is_loaded(path):
    for found, expected in zip(weights(path), network().get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_keras_loads_it_too(path):
    model = network(seed=2)
    model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0], network().get_weights()[0])


def flipped(content):
    """Flips a bit of a weight, which HDF5 does not notice."""
    kernel = network().get_weights()[0].tobytes()
    place = content.index(kernel) + 5
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


DAMAGES = {
    "a bit": flipped,
    "half": lambda content: content[: len(content) // 2],
    "nothing": lambda content: b"",
    "zeros": lambda content: content[:512] + bytes(512) + content[1024:],
    "its end": lambda content: content[:-1],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_names_itself_and_the_remedy(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError) as found:
        weights(path)
    message = str(found.value)
    assert message.startswith(f"The checkpoint {str(path)!r} is damaged")
    assert "remove it: training then starts from its first epoch" in message
    assert "\n" not in message and "Traceback" not in message


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_best_weights_are_compared_too(tmp_path, damage):
    model = models.create_model("root_nin", input_shape=(8, 8, 3), classes=3)
    path = tmp_path / BEST
    save_checkpoint(path, model.save_weights)
    models.create_model("root_nin", input_shape=(8, 8, 3), classes=3, weights=path)
    content = path.read_bytes()
    if damage is flipped:
        kernel = model.get_weights()[-2].tobytes()
        place = content.index(kernel)
        path.write_bytes(content[:place] + b"\x01" + content[place + 1 :])
    else:
        path.write_bytes(damage(content))
    with pytest.raises(ValueError, match="`weights` file .* (is damaged|does not fit)"):
        models.create_model("root_nin", input_shape=(8, 8, 3), classes=3, weights=path)


def test_one_of_an_older_run_has_no_checksum(tmp_path):
    network().save_weights(tmp_path / LAST)
    np.testing.assert_array_equal(
        weights(tmp_path / LAST)[0], network().get_weights()[0]
    )


def test_one_of_another_network(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="top")])
    save_checkpoint(tmp_path / LAST, other.save_weights)
    with pytest.raises(ValueError, match="is damaged, or of another network: "):
        weights(tmp_path / LAST)


ROWS = [
    {"epoch": 1, "loss": 2.5, "val_accuracy": 0.25},
    {"epoch": 2, "loss": 1.5, "val_accuracy": 0.75},
    {"epoch": 3, "loss": 0.5, "val_accuracy": 0.5},
]


def write(folder, rows=ROWS):
    with open(folder / LOG, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def resume(folder, done, first=1):
    return resumed_log(folder, done, "val_accuracy", first)


def test_rows_of_the_epochs_that_are_done(tmp_path):
    assert read_log(tmp_path) == resume(tmp_path, 0) == []
    write(tmp_path)
    texts = [{name: str(value) for name, value in row.items()} for row in ROWS]
    assert read_log(tmp_path) == texts
    for done in (0, 2, 3):
        assert resume(tmp_path, done) == texts[:done]


def test_an_epoch_that_is_not_the_first(tmp_path):
    write(tmp_path, ROWS[1:])
    assert [row["epoch"] for row in resume(tmp_path, 3, first=2)] == ["2", "3"]
    assert [row["epoch"] for row in resume(tmp_path, 3, first=None)] == ["2", "3"]
    with pytest.raises(ValueError, match="epochs 1 to 3.*has, it has .2, 3."):
        resume(tmp_path, 3)


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss,val_accuracy\n1,2.5,0.25\n2,1",  # cut in a cell
        "epoch,loss,val_accuracy\n1,2.5,0.25\n2,1.5,0.75,9\n",
        "epoch,loss,val_accuracy\n1,2.5,0.25\n1,1.5,0.75\n",
        "epoch,loss,val_accuracy\n1,2.5,0.25\n3,1.5,0.75\n",
        "epoch,loss,val_accuracy\n2,1.5,0.75\n1,2.5,0.25\n",
        "epoch,loss,val_accuracy\n1,2.5,x\n2,1.5,0.75\n",
        "epoch,loss,val_accuracy\none,2.5,0.25\n2,1.5,0.75\n",
        "epoch,loss,loss\n1,2.5,0.25\n2,1.5,0.75\n",
        "loss,val_accuracy\n2.5,0.25\n1.5,0.75\n",
        'epoch,loss,val_accuracy\n1,2.5,"0.25\n2,1.5,0.75\n',
        "\0\0\0\0",
        "epoch,loss,val_accuracy\n1,2.5,0.25\n2,\xff,0.75\n",
        "",
        "epoch,loss,val_accuracy\n1,2.5,0.25\n",
        "epoch,loss\n1,2.5\n2,1.5\n",
        "epoch,loss,val_accuracy\n1,2.5,\n2,1.5,\n",
        None,
    ],
)
def test_a_damaged_log_names_itself_and_the_remedy(tmp_path, text):
    if text is not None:
        (tmp_path / LOG).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError) as found:
        resume(tmp_path, 2)
    message = str(found.value)
    assert message.startswith(f"The log {str(tmp_path / LOG)!r} is damaged: ")
    assert f"or remove it and {LAST} beside it" in message


@pytest.mark.parametrize("change", [("0.75", "0.15"), ("2.5", "3.5"), ("0.25", "")])
def test_a_log_that_the_checkpoint_was_not_saved_with(tmp_path, change):
    """Another number in the log would make another epoch the best."""
    write(tmp_path)
    log = log_text(read_log(tmp_path)[:2])
    assert log == log_text(ROWS[:2])
    save_checkpoint(tmp_path / LAST, network().save_weights, log)
    assert len(resume(tmp_path, 2)) == 2
    text = (tmp_path / LOG).read_text()
    (tmp_path / LOG).write_text(text.replace(*change))
    with pytest.raises(ValueError, match="log.csv' is damaged: .*last.weights.h5"):
        resume(tmp_path, 2)


def test_a_change_behind_the_checkpoint_does_not_matter(tmp_path):
    write(tmp_path)
    save_checkpoint(tmp_path / LAST, network().save_weights, log_text(ROWS[:2]))
    write(tmp_path, [*ROWS[:2], ROWS[2] | {"loss": 9}])
    assert len(resume(tmp_path, 2)) == 2
