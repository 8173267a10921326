"""One call from a trained network to a cheaper one, on a made-up machine."""

import types

import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots import benchmarking
from keras_roots.compression.compress import compress
from keras_roots.compression.fidelity import file_outputs
from keras_roots.convolutions import Samples


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Times by multiply-adds; of files, each is faster than the one before."""
    helpers.made_up_machine(monkeypatch)
    compare = benchmarking.compare

    def compare_files(cases, **kwargs):
        if any(isinstance(case.target, keras.Model) for case in cases.values()):
            return compare(cases, **kwargs)
        times = [1 / (1 + index) for index in range(len(cases))]
        return [types.SimpleNamespace(median_ms=t, ratio=t) for t in times]

    monkeypatch.setattr(benchmarking, "compare", compare_files)


@pytest.fixture(scope="module")
def trained():
    """A network, and the images that it knows."""
    return helpers.knows_colours()


def _compress(trained, budget=0.5, cost="latency", **arguments):
    return compress(*trained, budget, cost, **{"say": [].append, **arguments})


def test_the_file_is_that_of_the_network(trained):
    model, images = trained
    small = _compress(trained, 0.4)
    names = [row["name"] for row in small.rows]
    stages = ["fitted", "recalibrated"]
    assert names == ["original", "quantized", *stages, "compressed"]
    first, plain, *_, last = small.rows
    assert small.chosen == 4 and small.error == last["error"]
    assert (first["quantize"], plain["quantize"]) == (None, "int8")
    assert last["quantize"] == small.quantize
    assert last["bytes"] == len(small.tflite)
    assert first["macs"] == keras_roots.profile(model).macs
    assert last["params"] == keras_roots.profile(small.model).params
    assert (first["ratio"], small.ratio) == (1.0, last["ratio"])
    scores = file_outputs(small.tflite, images)[0]
    expected = model.predict(images, verbose=0)
    same = (scores.argmax(1) == expected.argmax(1)).mean()
    assert small.agreement == pytest.approx(same, abs=0.1)
    assert small.agreement > 0.9 and 0 < last["error"] < 0.1
    table = str(small).splitlines()
    assert "agreement" in table[0] and "metric" not in table[0]
    assert table[-1].startswith("compressed") and table[-1].endswith("<-")


def test_multiply_adds_are_planned_once(trained):
    lines = []
    small = _compress(trained, 0.6, "macs", say=lines.append)
    assert small.quantize is None and "lost of the outputs" in lines[0]
    assert lines[1].startswith("multiply-adds: 0.")
    counted = [row["macs"] for row in small.rows]
    assert 0.4 < counted[-1] / counted[0] <= 0.6
    assert [row["name"] for row in small.rows][-1] == "compressed"
    assert small.plan.part <= 0.6
    assert _compress(trained, 0.6, "macs", quantize="int8").quantize == "int8"


def test_the_callers_training_gets_student_and_teacher(trained):
    called = []

    def finetune(student, teacher):
        called.append((student, teacher))
        return student

    small = _compress(trained, 0.6, "macs", finetune=finetune)
    ((student, teacher),) = called
    assert teacher is trained[0] and small.model is student
    assert [row["name"] for row in small.rows][-2:] == ["fine-tuned", "compressed"]


def _spoiled(student, teacher):
    """Training that forgets everything, in place."""
    student.set_weights([0 * weight for weight in student.get_weights()])
    return student


def test_training_that_makes_it_worse_is_not_kept(trained):
    lines = []
    small = _compress(trained, 0.6, "macs", finetune=_spoiled, say=lines.append)
    assert any(
        line.startswith("fine-tuning made it worse on held-out samples and is not kept")
        for line in lines
    )
    assert small.error < 0.1 and small.agreement > 0.9
    assert small.rows[-2]["name"] == "fine-tuned" and small.rows[-2]["error"] > 0.3
    scores = small.model.predict(trained[1], verbose=0)
    assert np.ptp(scores) > 0.5


def test_the_users_metric_decides_what_is_kept(trained):
    """One that likes what training spoiled."""

    def metric(model):
        return float(-np.abs(model.get_layer("predictions").get_weights()[0]).sum())

    small = _compress(trained, 0.6, "macs", finetune=_spoiled, metric=metric)
    assert small.rows[-1]["metric"] == 0.0 and small.error > 0.3
    assert all(row["metric"] is not None for row in small.rows)
    assert "metric" in str(small).splitlines()[0]


def test_a_network_that_is_only_quantised_is_copied_before_training(trained):
    before = trained[0].get_weights()

    def finetune(student, teacher):
        assert student is not teacher
        *others, head, bias = student.get_weights()
        student.set_weights([*others, head[:, ::-1], bias[::-1]])
        return student

    small = _compress(trained, 0.6, quantize="int8", finetune=finetune)
    assert small.plan is None and small.quantize == "int8"
    for weight, same in zip(trained[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)
    assert [row["name"] for row in small.rows] == [
        "original",
        "quantized",
        "fine-tuned",
    ]
    assert small.rows[-1]["error"] > 0.1 and small.chosen == 1
    assert small.model is trained[0]


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def _wider():
    """A network for the same images and classes, of many multiply-adds."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(300, 5)(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


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
        (_wider, "the student, trained. Received: another network of "),
    ],
)
def test_what_training_returns_is_checked(trained, made, message):
    with pytest.raises(ValueError, match=f"`finetune` must return {message}"):
        _compress(trained, 0.6, "macs", finetune=lambda *pair: made())


def test_training_that_returns_the_teacher(trained):
    with pytest.raises(ValueError, match="Received: the teacher of"):
        _compress(trained, 0.6, "macs", finetune=lambda student, teacher: teacher)


def _body(x, name="body"):
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name=name)(x)
    return keras.layers.Conv2D(16, 3, padding="same", name=f"{name}_2")(x)


def _maps_and_counts():
    """Maps and regression, for images that are not square."""
    inputs = keras.Input((8, 12, 3))
    x = _body(inputs)
    maps = keras.layers.Conv2D(2, 1, name="maps")(x)
    counts = keras.layers.Dense(1, name="counts")(keras.layers.Flatten()(x))
    return keras.Model(inputs, [maps, counts])


def _segmentation():
    """A softmax per place of images of one channel."""
    inputs = keras.Input((8, 8, 1))
    scores = keras.layers.Conv2D(3, 1, activation="softmax", name="end")(_body(inputs))
    return keras.Model(inputs, scores)


def _siamese():
    """Two images through one backbone."""
    image = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(_body(image))
    backbone = keras.Model(image, pooled, name="backbone")
    inputs = [keras.Input((8, 8, 3), name=name) for name in ("left", "right")]
    return keras.Model(inputs, keras.layers.Subtract()(list(map(backbone, inputs))))


def _image_and_numbers():
    """A dictionary of an image and a vector, and one of nested outputs."""
    image, vector = keras.Input((8, 8, 3), name="image"), keras.Input((5,), name="more")
    x = _body(image)
    y = keras.layers.Concatenate()([keras.layers.GlobalMaxPooling2D()(x), vector])
    scores = keras.layers.Dense(3, activation="softmax", name="scores")(y)
    outputs = {"scores": scores, "features": [x, y]}
    return keras.Model({"image": image, "more": vector}, outputs)


@pytest.mark.parametrize(
    ("make", "outputs", "classes"),
    [
        (_maps_and_counts, 2, False),
        (_segmentation, 1, True),
        (_siamese, 1, False),
        (_image_and_numbers, 3, True),
    ],
)
@pytest.mark.parametrize("quantize", [None, "int8"])
def test_networks_of_any_task(make, outputs, classes, quantize):
    model = make()
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=(60, *x.shape[1:])).astype("float32") for x in model.inputs
    ]
    images = arrays[0] if len(arrays) == 1 else tuple(arrays)
    small = _compress((model, images), 0.6, "macs", quantize=quantize)
    counted = [keras_roots.profile(each).macs for each in (model, small.model)]
    assert counted[1] <= 0.6 * counted[0]
    last = small.rows[-1]
    assert last["name"] == "compressed" and last["quantize"] == quantize
    assert len(last.get("errors", [1])) == outputs
    assert (small.agreement is not None) == classes
    assert small.rows[0]["error"] < 1e-6 and 0 < last["error"] < 1
    # The same by NumPy, of the Keras model.
    held_out = Samples.of(model, images).split(0)[1]
    pairs = zip(held_out.outputs(model), held_out.outputs(small.model), strict=True)
    errors = [np.square(a - b).sum() / np.square(a).sum() for a, b in pairs]
    fitted = next(row for row in small.rows if row["name"] == "fitted")
    assert fitted["error"] == pytest.approx(np.mean(errors), rel=1e-3)
    for key in last.get("errors", {}):
        assert f"error {key}".replace("_", " ") in str(small)


def test_samples_of_any_form():
    """A generator with labels, read once."""
    model = _segmentation()
    images = np.random.default_rng(0).normal(size=(60, 8, 8, 1)).astype("float32")
    read = []

    def batches():
        for start in range(0, 60, 20):
            read.append(start)
            yield images[start : start + 20], np.zeros(20)

    small = _compress((model, batches()), 0.6, "macs")
    same = _compress((model, images), 0.6, "macs")
    assert read == [0, 20, 40]
    assert small.error == pytest.approx(same.error)


def test_a_network_that_litert_refuses_is_compressed_all_the_same(monkeypatch):
    from keras_roots import export

    def refuses(*args, **kwargs):
        raise export.ExportError("this operation is unknown")

    monkeypatch.setattr(export, "export_tflite", refuses)
    images = np.random.default_rng(0).normal(size=(60, 8, 8, 1)).astype("float32")
    lines = []
    small = _compress((_segmentation(), images), 0.6, "macs", say=lines.append)
    assert small.tflite is None and small.ratio is None and small.error < 1
    assert "compressed: no file, this operation is unknown" in lines
    assert "compressed" in str(small)
    with pytest.raises(ValueError, match="this operation is unknown"):
        _compress((_segmentation(), images), 0.6, "macs", quantize="int8")


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
        ({"finetune": 5}, "`finetune` must be a function of student and teacher"),
        ({"finetune": lambda student: student}, "teacher. Received: finetune=<l"),
        ({"metric": lambda: 1.0}, "`metric` must be a function of model"),
        ({"metric": lambda model: "good"}, "`metric` must return a finite number"),
        ({"metric": 0.9}, "`metric` must be a function of model"),
        ({"say": 5}, "`say` must be a function of text"),
        ({"ways": ("groups", "groups")}, "`ways` must name each only once"),
        ({"judge": "taste"}, "`judge` must be one of"),
        ({"target": "z80"}, "`target` must be one of"),
        ({"target": "neon"}, "`target` must be 'host' with cost='latency'"),
        ({"cost": "macs", "budget": 0.001}, "`budget` must be at least 0"),
        ({"cost": "macs", "layers": ["conv9"]}, "`layers` must name"),
    ],
)
def test_bad_arguments(trained, arguments, message, monkeypatch):
    monkeypatch.setattr("keras_roots.export.targets.host_target", lambda: "avx2")
    with pytest.raises(ValueError, match=message):
        _compress(trained, **arguments)


@pytest.mark.parametrize(
    "images",
    [
        None,
        np.zeros((0, 8, 8, 3)),
        np.zeros((5, 9, 8, 3)),
        np.full((5, 8, 8, 3), np.nan),
        iter([]),
    ],
)
def test_bad_images(trained, images):
    with pytest.raises(ValueError, match="`images` must"):
        _compress((trained[0], images))


def test_nothing_needs_to_be_said(trained, capsys):
    compress(*trained, 0.6, "macs", say=None)
    assert not capsys.readouterr().out


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
        (lambda: "root_nin", "must be a functional or Seq.*model='root_nin'"),
        (lambda: _network((None, None, 3)), r"fixed sizes.*keras.Model\(image, model"),
        (_Subclassed, "functional or Sequential"),
        (
            lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Dense(3)]),
            "2D convolutions",
        ),
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


@pytest.mark.parametrize("make", [_segmentation, _image_and_numbers])
def test_the_report_is_one_page(tmp_path, make):
    """Names of outputs that differ between copies do not matter."""
    model = make()
    rng = np.random.default_rng(0)
    images = tuple(rng.normal(size=(60, *x.shape[1:])) for x in model.inputs)
    small = _compress((model, images), 0.6, "macs")
    small.save_report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for text in (model.name, "compressed", "Layers", "Outputs", "<img", "processor"):
        assert text in page
    assert ("Spectra" in page) == ("responses" in small.plan.methods.values())
    with pytest.raises(ValueError, match="`path` must be a path"):
        small.save_report(3)
