import helpers
import keras
import numpy as np
import pytest

import keras_roots
from keras_roots.training.data import datasets, open_unlabelled
from keras_roots.training.evaluation import accuracy
from keras_roots.training.evaluation.accuracy import evaluate_on
from keras_roots.training.evaluation.measure import measure


def test_score_counts_as_numpy_sorts():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(50, 12)).astype("float32")
    labels = generator.integers(0, 12, 50)
    batches = [(np.arange(i, i + 7), labels[i : i + 7]) for i in range(0, 50, 7)]
    batches[-1] = (np.arange(49, 50), labels[49:])
    score = accuracy.evaluate(lambda rows: scores[rows], batches)
    order = np.argsort(-scores, axis=1)
    assert score.top1 == np.mean(order[:, 0] == labels)
    assert score.top5 == np.mean((order[:, :5] == labels[:, None]).any(1))
    assert score.figures(6)["top5"] == score.top5
    assert set(score.figures(5)) == {"top1", "images"}
    assert score.images == 50


def test_constant_scores_are_no_success():
    batches = [(np.zeros((4, 8, 8, 3)), np.zeros(4, "int64"))]
    score = accuracy.evaluate(lambda images: np.ones((4, 10)), batches)
    assert (score.top1, score.top5) == (0.0, 0.0)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="Received none"):
        accuracy.evaluate(lambda images: images, [])


@pytest.fixture(scope="module")
def digits_model():
    """A linear model of the digits, trained well enough to be told from chance."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 255, name="normalization"),
            keras.layers.AveragePooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    digits = datasets.open_dataset("digits")
    model.compile("adam", "sparse_categorical_crossentropy")
    images = digits.train.images.astype("float32")
    model.fit(images, digits.train.labels, epochs=5, batch_size=16, verbose=0)
    scores = model.predict(digits.test.images.astype("float32"), verbose=0)
    return model, float(np.mean(scores.argmax(-1) == digits.test.labels))


@pytest.mark.parametrize("kind", ["keras", "tflite", "saved_model"])
def test_every_kind_of_file_has_the_accuracy_of_its_model(digits_model, tmp_path, kind):
    model, top1 = digits_model
    path = str(tmp_path / f"net.{kind}")
    {
        "keras": model.save,
        "tflite": lambda path: keras_roots.export_tflite(model, path),
        "saved_model": lambda path: keras_roots.export_saved_model(model, path),
    }[kind](path)
    predictor = accuracy.load_predictor(path)
    assert (predictor.image_size, predictor.classes) == (32, 10)
    score = evaluate_on(predictor, datasets.open_dataset("digits"))
    assert score.images == 359
    assert top1 > 0.8
    assert score.top1 == pytest.approx(top1, abs=1 / 359)


def test_files_that_are_no_networks_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("broken.keras", "broken.tflite", "notes.txt"):
        (tmp_path / name).write_text("no network")
    for name, message in {
        "nowhere.keras": "does not exist",
        "broken.keras": "`file` must be a whole .keras file",
        "broken.tflite": "`file` must be a LiteRT file",
        "notes.txt": "must be a .keras file",
        "folder": "`file` must be the folder of a whole SavedModel",
    }.items():
        with pytest.raises(ValueError, match=message):
            accuracy.load_predictor(str(tmp_path / name))


def _writing(folder):
    """A SavedModel that writes a file when it is called."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 3))])
    def serve(images):
        tf.io.write_file(str(folder / "written"), "text")
        return {"scores": tf.reduce_sum(images, (1, 2))}

    module.serve = serve
    tf.saved_model.save(module, str(folder / "saved"), serve)
    return str(folder / "saved")


def test_a_saved_model_that_writes_files_needs_trust(tmp_path):
    path = _writing(tmp_path)
    with pytest.raises(ValueError, match="`trust` must be True.* WriteFile"):
        accuracy.load_predictor(path)
    noise = helpers.noise(side=32)
    networks = {"net": {"saved": path}}
    with pytest.raises(ValueError, match="`trust` must be True"):
        measure(networks, noise, runs=0)
    assert not (tmp_path / "written").exists()
    predictor = accuracy.load_predictor(path, trust=True)
    expected = noise.test.images.sum((1, 2)).argmax(1) == noise.test.labels
    assert evaluate_on(predictor, noise).top1 == pytest.approx(expected.mean())
    found = measure(networks, noise, runs=0, trust=True)["net"]["saved"]
    np.testing.assert_array_equal(found.correct, expected)
    assert (tmp_path / "written").exists()


def test_a_saved_model_without_a_signature(tmp_path):
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path))
    with pytest.raises(ValueError, match="with a signature 'serving_default'"):
        accuracy.load_predictor(str(tmp_path))


def test_other_classes_than_the_data_set_are_refused():
    predictor = accuracy.Predictor(lambda images: images, 32, 7)
    with pytest.raises(ValueError, match="10 classes. Received: a model with 7"):
        evaluate_on(predictor, datasets.open_dataset("digits"))


def test_without_labels_a_model_is_compared_with_the_original(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", rng.normal(size=(50, 4, 4, 3)).astype("float32"))
    inputs = keras.Input((4, 4, 3))
    flat = keras.layers.Flatten()(inputs)
    plain, soft = (
        keras.Model(inputs, keras.layers.Dense(3, activation=kind)(flat))
        for kind in (None, "softmax")
    )
    for original in (plain, soft):
        dataset = open_unlabelled(str(tmp_path / "x.npz"), original)
        other = keras.models.clone_model(original)
        weights = original.get_weights()
        other.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in weights])
        (held_out,) = dataset.held_out.arrays
        one, two = (m.predict(held_out, verbose=0) for m in (original, other))
        found = accuracy.score_model(other, dataset)
        error = np.square(one - two).sum() / np.square(one).sum()
        assert found["error"] == pytest.approx(error, rel=1e-4)
        assert found["images"] == 10
        text = accuracy.headline(found)
        assert f"off by {error:.2%}" in text
        if original is plain:
            assert found["agreement"] is None
        else:
            same = (one.argmax(1) == two.argmax(1)).mean()
            assert found["agreement"] == pytest.approx(same)
            assert f"{same:.2%}" in text
