"""One call from a trained network to a cheaper one, on a made-up machine."""

import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.compression.compress import compress
from keras_roots.compression.fidelity import file_outputs


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Times by multiply-adds."""
    helpers.made_up_machine(monkeypatch)


@pytest.fixture(scope="module")
def trained():
    """A network, and the images that it knows."""
    return helpers.knows_colours()


def _compress(trained, budget=0.5, cost="latency", **arguments):
    return compress(*trained, budget, cost, **{"say": [].append, **arguments})


def test_the_file_is_that_of_the_network(trained):
    model, images = trained
    small = _compress(trained, 0.4)
    assert [row["name"] for row in small.rows] == ["original", "compressed"]
    first, last = small.rows
    assert (first["quantize"], last["quantize"]) == (None, small.quantize)
    assert last["bytes"] == len(small.tflite)
    assert first["macs"] == keras_roots.profile(model).macs
    assert last["params"] == keras_roots.profile(small.model).params
    assert (first["ratio"], small.ratio) == (1.0, last["ratio"])
    scores = file_outputs(small.tflite, images)[0]
    expected = model.predict(images, verbose=0)
    same = (scores.argmax(1) == expected.argmax(1)).mean()
    assert small.agreement == pytest.approx(same, abs=0.1)
    assert small.agreement > 0.9 and 0 < last["error"] < 0.1
    assert "compressed" in str(small) and "agreement" in str(small)


def test_multiply_adds_are_planned_once(trained):
    lines = []
    small = _compress(trained, 0.6, "macs", say=lines.append)
    assert small.quantize is None and len(lines) == 1
    counted = [row["macs"] for row in small.rows]
    assert 0.4 < counted[1] / counted[0] <= 0.6
    assert small.plan.part <= 0.6
    assert _compress(trained, 0.6, "macs", quantize="int8").quantize == "int8"


def test_the_callers_training_gets_student_and_teacher(trained):
    called = []

    def finetune(student, teacher):
        called.append((student, teacher))
        weights = [0.5 * weight for weight in student.get_weights()]
        student.set_weights(weights)
        return student

    small = _compress(trained, 0.6, "macs", finetune=finetune)
    ((student, teacher),) = called
    assert teacher is trained[0] and small.model is student


def test_a_network_that_is_only_quantised_is_copied_before_training(trained):
    before = trained[0].get_weights()

    def finetune(student, teacher):
        assert student is not teacher
        *others, head, bias = student.get_weights()
        student.set_weights([*others, head[:, ::-1], bias[::-1]])
        return student

    small = _compress(trained, 0.6, finetune=finetune)
    assert small.plan is None and small.quantize == "int8"
    for weight, same in zip(trained[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)
    assert small.rows[-1]["error"] > 0.1


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: None, "a Keras model. Received: NoneType"),
        (_Subclassed, "a functional or built Sequential model. Received: _Sub"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "a functional or built"),
        (
            lambda: helpers.one_layer(keras.layers.ReLU()),
            "a model of the same inputs and outputs",
        ),
    ],
)
def test_what_training_returns_is_checked(trained, made, message):
    with pytest.raises(ValueError, match=f"`finetune` must return {message}"):
        _compress(trained, 0.6, "macs", finetune=lambda *pair: made())


def test_other_tasks_than_classification():
    """A network of several outputs, on images that are not square."""
    inputs = keras.Input((8, 12, 3))
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(x)
    maps = keras.layers.Conv2D(2, 1, name="maps")(x)
    counts = keras.layers.Dense(1, name="counts")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, [maps, counts])
    images = np.random.default_rng(0).normal(size=(30, 8, 12, 3)).astype("float32")
    small = _compress((model, images), 0.6, "macs")
    assert small.agreement is None
    assert 0 < small.rows[-1]["error"] < 1
    assert small.rows[0]["error"] < 1e-6


def test_sample_images_are_split(trained, monkeypatch):
    import importlib

    module = importlib.import_module("keras_roots.compression.compress")
    seen = {}

    def meet_budget(model, fitted, budget, held_out, **arguments):
        seen.update(fitted=fitted, held_out=held_out)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "meet_budget", meet_budget)
    for count, held_out in ((2, 1), (9, 1), (100, 20), (3000, 500)):
        images = np.arange(count * 8 * 8 * 3, dtype="float32").reshape(-1, 8, 8, 3)
        with pytest.raises(KeyboardInterrupt):
            _compress((trained[0], images))
        assert len(seen["held_out"]) == held_out
        together = np.concatenate([seen["fitted"], seen["held_out"]])
        np.testing.assert_array_equal(np.sort(together, axis=0), images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 0.0}, "`budget` must be a number above 0 and below 1"),
        ({"budget": 1.5}, "`budget` must be a number"),
        ({"budget": "half"}, "`budget` must be a number"),
        ({"cost": "watts"}, "`cost` must be one of"),
        ({"quantize": "int4"}, "`quantize` must be one of"),
        ({"quantize": "dynamic"}, "`quantize` must be one of"),
        ({"ways": ("prune",)}, "`ways` must be of"),
        ({"ways": "groups"}, "`ways` must be of .* Received: ways='groups'"),
        ({"ways": None}, "`ways` must be of"),
        ({"threads": 0}, "`threads` must be an integer, 1 or more"),
        ({"seed": "a"}, "`seed` must be an integer, 0 or more"),
        ({"latency_table": 5}, "`latency_table` must be a path or None"),
        ({"finetune": 5}, "`finetune` must be a function .* or None"),
        ({"cost": "macs", "layers": ["conv9"]}, "`layers` must name"),
    ],
)
def test_bad_arguments(trained, arguments, message):
    with pytest.raises(ValueError, match=message):
        _compress(trained, **arguments)


@pytest.mark.parametrize(
    "images", [None, np.zeros((0, 8, 8, 3)), np.zeros((5, 9, 8, 3))]
)
def test_bad_images(trained, images):
    with pytest.raises(ValueError, match="`images` must"):
        _compress((trained[0], images))


def test_one_image_is_too_few(trained):
    with pytest.raises(ValueError, match="two images or more"):
        _compress((trained[0], trained[1][:1]))


def _network(shape=(8, 8, 3), inputs=1, layer=None):
    images = [keras.Input(shape) for _ in range(inputs)]
    x = keras.layers.Conv2D(8, 3)(sum(images[1:], images[0]))
    x = layer(x) if layer else x
    return keras.Model(images, keras.layers.Dense(3)(x))


class _Unregistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "root_nin", "must be a Keras model. Received: model='root_nin'"),
        (lambda: _network((None, None, 3)), "images of a fixed size"),
        (lambda: _network(inputs=2), "one batch of images"),
        (_Subclassed, "functional or Sequential"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "not built"),
        (
            lambda: _network(layer=keras.layers.Lambda(lambda x: 2 * x)),
            "saves and loads: .* loading says: .*Lambda",
        ),
        (
            lambda: _network(layer=_Unregistered()),
            "saves and loads: .* loading says: .*_Unregistered",
        ),
    ],
)
def test_networks_that_cannot_be_compressed(make, message):
    with pytest.raises(ValueError, match=f"`model` .*{message}"):
        compress(make(), helpers.pixels(10, 8))
