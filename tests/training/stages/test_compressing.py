"""One call from a trained network to one that takes a part of its time.

Times are of a made-up machine, on which a network takes as long as it has multiply-adds
and int8 half of that: what is tested is that budgets are met, not this machine.
"""

import itertools
import types

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.benchmarking import latency_table as latencies
from keras_roots.compression import planner as planning
from keras_roots.training import trainer
from keras_roots.training.evaluation import accuracy
from keras_roots.training.stages import compressing, compressing_arguments, meet_budget
from keras_roots.training.stages.compression_settings import Budget
from keras_roots.training.trainer.recipes import Recipe

RECIPE = Recipe(1, 16, 0.02, warmup=0.1)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Times by multiply-adds; whole networks take a tenth more, for what is no conv."""
    factor = {None: 1.0, "int8": 0.5, "float32": 1.0}

    def compare(cases, **kwargs):
        times = []
        for case in cases.values():
            if isinstance(case.target, keras.Model):
                macs = keras_roots.profile(case.target).macs
                times.append(1.1 * factor[case.quantize] * macs)
            else:
                times.append(float(len(times) + 1))
        return [
            types.SimpleNamespace(p10_ms=t, median_ms=t, ratio=t / times[0])
            for t in times
        ]

    def measure(chains, dtype, threads, runs):
        return [factor[dtype] * sum(map(_macs, chain)) for chain in chains]

    monkeypatch.setattr(meet_budget.benchmarking, "compare", compare)
    monkeypatch.setattr(planning.benchmarking, "compare", compare)
    monkeypatch.setattr(latencies, "measure_chains", measure)


def _macs(spec):
    height, width, channels = spec.input_shape
    kernel = spec.kernel[0] * spec.kernel[1] * channels // spec.groups
    return height * width * kernel * spec.filters


def colours(count, seed=0):
    """Classes that differ in their colour."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 100, (count, 8, 8, 3))
    images[np.arange(count), :, :, labels] += 150
    return images.astype("uint8"), labels


@pytest.fixture(scope="module")
def model():
    """A network that knows them."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for index in range(3):
        x = keras.layers.Conv2D(16, 3, padding="same", name=f"conv{index}")(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"norm{index}")(x)
        x = keras.layers.ReLU(name=f"relu{index}")(x)
    x = keras.layers.Conv2D(16, 1, name="mix")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(3, activation="softmax", name="predictions")(x)
    net = keras.Model(inputs, outputs, name="small")
    keras.utils.set_random_seed(0)
    net.compile("adam", "sparse_categorical_crossentropy")
    images, labels = colours(120)
    net.fit(images.astype("float32"), labels, batch_size=20, epochs=12, verbose=0)
    return net


def _compress(model, latency=0.5, **kwargs):
    arguments = {"epochs": 0, "sample_images": 60, "verbose": False, "say": [].append}
    return keras_roots.compress(
        model, (*colours(90), *colours(30, 1)), latency, **{**arguments, **kwargs}
    )


def _meet(model, budget, say=None):
    images = colours(60)[0].astype("float32")
    return meet_budget.meet(model, images, budget, say or [].append)


def _part(small, model):
    return keras_roots.profile(small).macs / keras_roots.profile(model).macs


def test_int8_alone_is_enough_for_a_budget_that_it_meets(model):
    met = _meet(model, Budget(0.6))
    assert (met.quantize, met.plan) == ("int8", None)
    assert met.model is model and met.ratio == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("quantize", "half", "ways"),
    [
        ("none", 1.0, ("groups", "rank")),
        ("none", 1.0, ("groups",)),
        ("none", 1.0, ("rank",)),
        ("int8", 0.5, ("groups", "rank")),
    ],
)
def test_the_budget_is_met_by_the_whole_network(model, quantize, half, ways):
    met = _meet(model, Budget(0.6 * half, (quantize,), ways))
    assert met.quantize == quantize
    assert 0.4 < _part(met.model, model) <= 0.6
    assert met.ratio == pytest.approx(half * _part(met.model, model), rel=0.02)
    assert {row.way for row in met.plan.layers} - {None} <= set(ways)


@pytest.mark.slow
def test_what_comes_back_is_the_file_that_was_measured(model, tmp_path):
    small = _compress(model, 0.4, epochs=2, recipe=RECIPE, output_dir=tmp_path)
    path = tmp_path / "again.tflite"
    path.write_bytes(small.tflite)
    images, labels = colours(30, 1)
    predictor = accuracy.load_predictor(str(path))
    scores = [predictor.predict(image[None].astype("float32"))[0] for image in images]
    assert small.top1 == np.mean(np.argmax(scores, axis=-1) == labels)
    assert small.tflite == (tmp_path / compressing.FILE).read_bytes()
    assert [row["name"] for row in small.rows] == ["original"] * 2 + ["compressed"]
    assert small.rows[-1]["bytes"] == len(small.tflite)
    assert small.rows[0]["macs"] == keras_roots.profile(model).macs
    assert small.ratio == small.rows[-1]["ratio"]
    assert (tmp_path / compressing.TABLE).exists()
    assert "compressed" in str(small)


@pytest.mark.slow
def test_a_stopped_call_goes_on(model, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "fit", _stop)
        with pytest.raises(KeyboardInterrupt):
            _compress(model, 0.4, epochs=1, recipe=RECIPE, output_dir=tmp_path)
    monkeypatch.setattr(meet_budget, "meet", _stop)  # that was done already
    small = _compress(model, 0.4, epochs=1, recipe=RECIPE, output_dir=tmp_path)
    assert small.top1 > 0.5


@pytest.mark.slow
def test_another_networks_folder_is_refused(model, tmp_path):
    _compress(model, 0.6, output_dir=tmp_path)
    other = keras.models.clone_model(model)
    with pytest.raises(ValueError, match="another configuration"):
        _compress(other, 0.6, output_dir=tmp_path)


def test_other_images_need_another_folder(model, tmp_path):
    images, labels = colours(30)
    for same in (images, images.copy()):
        _begin(model, (same, labels), output_dir=tmp_path)
    for other in ((255 - images, labels), (images, labels[::-1])):
        with pytest.raises(ValueError, match="another configuration"):
            _begin(model, other, output_dir=tmp_path)


def _begin(model, dataset, **kwargs):
    """Compresses until the budget is to be met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meet_budget, "meet", _stop)
        with pytest.raises(KeyboardInterrupt):
            keras_roots.compress(model, dataset, say=[].append, **kwargs)


def _stop(*args, **kwargs):
    raise KeyboardInterrupt


def test_few_images_make_small_batches(model, tmp_path):
    _begin(model, colours(30), epochs=np.int64(1), output_dir=tmp_path)
    with pytest.raises(ValueError, match="`batch_size` must be .* 24. .*=64"):
        keras_roots.compress(model, colours(30), recipe=Recipe(1, 64, 0.1))


def test_plans_are_corrected_by_what_is_measured(model):
    """Layers outside of convolutions take a tenth: nobody told the planner."""
    lines = []
    met = _meet(model, Budget(0.5, ("none",)), lines.append)
    assert any("a plan for" in line for line in lines)
    assert 0.4 < met.ratio <= 0.5


def test_what_cannot_be_met_says_what_can(model):
    with pytest.raises(ValueError, match=r"cannot be met: none reaches 0\.\d+ of"):
        _meet(model, Budget(0.01, ("none",)))


def test_meet_leaves_the_network_alone(model):
    before = [weight.copy() for weight in model.get_weights()]
    assert _meet(model, Budget(0.5, ("none",))).plan is not None
    for weight, same in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)


def _bad_labels(dataset):
    return (*dataset[:1], dataset[1].astype("float32"))


@pytest.mark.parametrize(
    ("latency", "kwargs", "message"),
    [
        (0.0, {}, "`latency` must be a part"),
        (1.5, {}, "`latency` must be a part"),
        (0.5, {"quantize": "int4"}, "`quantize` must be auto, none or int8"),
        (0.5, {"ways": ("prune",)}, "`ways` must be of"),
        (0.5, {"epochs": -1}, "`epochs` must be"),
        (0.5, {"sample_images": 0}, "`sample_images` must be an integer, 1 or more"),
        (0.5, {"sample_images": 2.5}, "`sample_images` must be"),
        ("half", {}, "`latency` must be a part"),
        (0.5, {"epochs": True}, "`epochs` must be"),
        (0.5, {"threads": 0}, "`threads` must be an integer, 1 or more"),
        (0.5, {"seed": "a"}, "`seed` must be an integer, 0 or more"),
        (0.5, {"distillation": -1}, "`distillation` must be a finite weight"),
        (0.5, {"distillation": float("nan")}, "`distillation` must be a finite"),
        (0.5, {"ways": "groups"}, "`ways` must be of .* Received: ways='groups'"),
        (0.5, {"ways": None}, "`ways` must be of"),
        (0.5, {"layers": ["conv1"]}, "`layers` must be 'all'"),
        (0.5, {"recipe": "cifar10"}, "`recipe` must be a .*Recipe"),
        (0.5, {"layers": "("}, "regular expression"),
        (0.5, {"latency_table": 5}, "`latency_table` must be a path or None"),
        (0.5, {"output_dir": 5}, "`output_dir` must be a path or None"),
    ],
)
def test_bad_arguments_before_any_work(model, monkeypatch, latency, kwargs, message):
    monkeypatch.setattr(meet_budget, "meet", None)
    with pytest.raises(ValueError, match=message):
        _compress(model, latency, **kwargs)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (np.zeros(3), "`dataset` must be the name"),
        (colours(30)[:1], "`dataset` must be the name"),
        (5, "`dataset` must be the name"),
        ((colours(30), colours(30)), "`dataset` must be .* of what is no array"),
        ((colours(30)[0], colours(30)[1][:, None]), r"labels\[:, 0\] where"),
        ((colours(30)[0], np.eye(3)[colours(30)[1]]), "one-hot. Received: float64"),
        ((colours(30)[0] / 255, colours(30)[1]), "Images must be uint8"),
        ((colours(30)[0], colours(31)[1]), "one for each of the 30 images"),
        (_bad_labels(colours(30)), "Labels must be integers"),
        (colours(4), "10 images or more"),
        ((colours(30)[0][:, :0, :0], colours(30)[1]), "Images must be uint8"),
        ((colours(30)[0], colours(30)[1] + 1), "Labels must be from 0 to 2, .* 1 to 3"),
    ],
)
def test_bad_data(model, dataset, message):
    with pytest.raises(ValueError, match=message):
        keras_roots.compress(model, dataset)


def test_a_fifth_of_the_images_tests_where_no_others_are_given():
    dataset = compressing_arguments.open_dataset(colours(50), None, 3)
    assert (dataset.train.count, dataset.test.count) == (40, 10)
    both = np.concatenate([dataset.train.images, dataset.test.images])
    assert len(np.unique(both.reshape(50, -1), axis=0)) == 50


def test_a_model_is_asked_for():
    with pytest.raises(ValueError, match="`model` must be a Keras model"):
        keras_roots.compress("root_nin", colours(30))


def test_an_endless_data_set_is_refused_at_once():
    endless = itertools.repeat(colours(30)[0])
    with pytest.raises(ValueError, match="Received: repeat"):
        compressing_arguments.open_dataset(endless, None, 3)


def _classifier(shape=(8, 8, 3), units=3, pool=True, inputs=1, end=None, layer=None):
    images = [keras.Input(shape) for _ in range(inputs)]
    x = keras.layers.Conv2D(8, 3)(sum(images[1:], images[0]))
    x = layer(x) if layer else x
    x = keras.layers.GlobalAveragePooling2D()(x) if pool else x
    return keras.Model(images, keras.layers.Dense(units, end)(x))


def _frozen():
    model = _classifier()
    model.trainable = False
    return model


class _Unregistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs


class _Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _classifier((8, 8, 1)), r"square colour .* inputs \[\(8, 8, 1\)\]"),
        (lambda: _classifier((None, None, 3)), "of a fixed size"),
        (lambda: _classifier((8, 12, 3)), "square colour images"),
        (lambda: _classifier(inputs=2), "one batch of square colour images"),
        (lambda: _classifier(units=1), r"two classes or more: .* outputs \[\(1,\)\]"),
        (lambda: _classifier(pool=False), r"outputs \[\(6, 6, 3\)\]"),
        (_Subclassed, "functional or Sequential"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "not built"),
        (lambda: _classifier(end="sigmoid"), "must end in a softmax .*'sigmoid'"),
        (_frozen, "must have weights to train"),
        (
            lambda: _classifier(layer=keras.layers.Lambda(lambda x: 2 * x)),
            "saves and loads: .* loading says: .*Lambda",
        ),
        (
            lambda: _classifier(layer=_Unregistered()),
            "saves and loads: .* loading says: .*_Unregistered",
        ),
    ],
)
def test_networks_that_are_no_classifiers_of_colour_images(make, message):
    with pytest.raises(ValueError, match=f"`model` .*{message}"):
        keras_roots.compress(make(), colours(30))
