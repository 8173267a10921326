"""Sample inputs: every form they come in, what is refused, batches, splits."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.convolutions import samples
from keras_roots.convolutions.samples import MOST_SAMPLES, Samples
from keras_roots.layers.grouped_conv2d import GroupedConv2D


def _model(shape=(9, 9, 4)):
    return keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3, groups=2)])


def _pair(names=("left", "right"), keys=None, dtype="float32"):
    """A model of two inputs, of 3 and 2 numbers."""
    one, two = keras.Input((3,), name=names[0]), keras.Input((2,), name=names[1])
    if dtype != "float32":
        two = keras.Input((2,), name=names[1], dtype=dtype)
    joined = layers.Concatenate()([one, keras.ops.cast(two, "float32")])
    inputs = [one, two] if keys is None else dict(zip(keys, (one, two), strict=True))
    return keras.Model(inputs, layers.Dense(2)(joined))


IMAGES = np.random.default_rng(0).normal(size=(7, 9, 9, 4)).astype("float32")
ONE, TWO = np.arange(21.0).reshape(7, 3), -np.arange(14.0).reshape(7, 2)
LABELS = np.arange(7)


class _Batches(keras.utils.PyDataset):
    """Two batches with labels."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return IMAGES[4 * index : 4 * index + 4], LABELS[4 * index : 4 * index + 4]


def _dataset(*parts):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(*parts).batch(3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: IMAGES,
        lambda: IMAGES.tolist(),
        lambda: list(IMAGES),
        lambda: keras.ops.convert_to_tensor(IMAGES),
        lambda: [IMAGES[:4], IMAGES[4:]],
        lambda: (IMAGES[i : i + 2] for i in range(0, 7, 2)),
        lambda: ((IMAGES[i : i + 2], LABELS[i : i + 2]) for i in range(0, 7, 2)),
        lambda: ({"pixels": IMAGES[i : i + 3]} for i in range(0, 7, 3)),
        lambda: {"pixels": IMAGES},
        lambda: _dataset(IMAGES),
        lambda: _dataset((IMAGES, LABELS)),
        lambda: _dataset({"pixels": IMAGES, "label": LABELS}),
        lambda: _Batches(),
    ],
)
def test_forms_of_one_input(make):
    inputs = keras.Input((9, 9, 4), name="pixels")
    model = keras.Model(inputs, layers.Conv2D(2, 1)(inputs))
    found = Samples.of(model, make())
    np.testing.assert_array_equal(found.inputs, IMAGES)
    assert len(found) == 7 and found.shapes == [(9, 9, 4)]
    again = Samples.of(model, found)
    assert again.inputs is found.inputs


@pytest.mark.parametrize(
    "make",
    [
        lambda: (ONE, TWO),
        lambda: [ONE, TWO],
        lambda: {"left": ONE, "right": TWO},
        lambda: {"a": ONE, "b": TWO},
        lambda: [(ONE[:4], TWO[:4]), (ONE[4:], TWO[4:])],
        lambda: [[ONE[:4], TWO[:4]], [ONE[4:], TWO[4:]]],
        lambda: iter([((ONE[:4], TWO[:4]), LABELS[:4]), ((ONE[4:], TWO[4:]), 0)]),
        lambda: iter([({"a": ONE, "b": TWO}, LABELS, LABELS)]),
        lambda: _dataset((ONE, TWO)),
        lambda: _dataset(((ONE, TWO), LABELS)),
        lambda: _dataset(({"left": ONE, "right": TWO}, LABELS)),
    ],
)
@pytest.mark.parametrize("keys", [("a", "b"), None])
def test_forms_of_several_inputs(make, keys):
    data = make()
    if keys is None and isinstance(data, dict) and "a" in data:
        data = {"left": ONE, "right": TWO}
    if keys is None and type(data) is type(iter([])):
        data = iter([((ONE, TWO), LABELS)])
    model = _pair(keys=keys)
    found = Samples.of(model, data)
    for ours, given in zip(found.inputs, (ONE, TWO), strict=True):
        np.testing.assert_array_equal(ours, given)
    for batch in found.batches(3):
        assert [tuple(tensor.shape[1:]) for tensor in batch] == [(3,), (2,)]
    expected = np.concatenate([ONE, TWO], 1) @ model.layers[-1].get_weights()[0]
    (outputs,) = found.outputs(model)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_names_whose_order_is_not_that_of_the_keys():
    """Keras sorts inputs by their keys; the names of tensors need not be sorted."""
    model = _pair(("z", "y"), keys=("k", "l"))
    for data in ({"k": ONE, "l": TWO}, {"z": ONE, "y": TWO}):
        np.testing.assert_array_equal(Samples.of(model, data).arrays[1], TWO)


def test_sides_of_any_length():
    found = Samples.of(_model((None, None, 4)), np.zeros((1, 5, 7, 4), "uint8"))
    assert found.shapes == [(5, 7, 4)] and found.inputs.dtype == "uint8"


def test_an_endless_generator_is_read_once_up_to_a_number():
    read = []

    def endless():
        while True:
            read.append(1)
            yield np.zeros((300, 9, 9, 4), "uint8")

    assert len(Samples.of(_model(), endless())) == MOST_SAMPLES
    assert len(read) == -(-MOST_SAMPLES // 300)


def test_types_are_the_inputs():
    found = Samples.of(_pair(dtype="int32"), (ONE, TWO))
    (batch,) = found.batches(10)
    assert [keras.backend.standardize_dtype(x.dtype) for x in batch] == [
        "float32",
        "int32",
    ]
    masks = Samples.of(_pair(dtype="bool"), (ONE, TWO < -3))
    assert np.asarray(next(masks.batches(10))[1]).sum() == (TWO < -3).sum()


class _NotANumber:
    def __array__(self, *args, **kwargs):
        return np.full((2, 9, 9, 4), np.nan)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 9, 9, 4)), r"\(n, 9, 9, 4\).* of shape \(0, 9, 9, 4\)"),
        (np.zeros((2, 9, 8, 4)), r"\(n, 9, 9, 4\).* of shape \(2, 9, 8, 4\)"),
        (np.zeros((9, 9, 4)), r"\(n, 9, 9, 4\).* of shape \(9, 9, 4\)"),
        (np.full((2, 9, 9, 4), np.inf), "must be finite"),
        (_NotANumber(), "must be finite"),
        ([np.full((2, 9, 9, 4), np.nan)], "must be finite"),
        (np.full((2, 9, 9, 4), "pixel"), "must be numbers"),
        (None, "Received: None"),
        (3, "Received: a int"),
        ("photos", "Received: a str"),
        ({"other": IMAGES}, r"Received: a dictionary of \['other'\]"),
        ([], "no batch at all"),
        (iter([]), "no batch at all"),
        ((IMAGES, LABELS), r"Received: batch 1 is a ndarray of shape \(7,\)"),
        (iter([IMAGES, IMAGES[:, :8]]), r"batch 1 is a ndarray of shape \(7, 8, 9, 4"),
        (iter(IMAGES), r"batch 0 is a ndarray of shape \(9, 9, 4\)"),
        (iter([3]), "batch 0 is a int"),
        ([[1], [1, 2]], r"\(n, 9, 9, 4\)"),
    ],
)
def test_samples_that_do_not_fit(data, message):
    with pytest.raises(ValueError, match=f"`images`.*{message}"):
        Samples.of(_model(), data)
    with pytest.raises(ValueError, match="`calibration_data`"):
        Samples.of(_model(), None, "calibration_data")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ONE, r"left \(n, 3\), right \(n, 2\).*ndarray of shape \(7, 3\)"),
        ((ONE, TWO[:5]), r"as many samples for every input. Received: \[7, 5\]"),
        ((TWO, ONE), r"`images\['left'\]` must be numbers of shape \(n, 3\)"),
        ({"left": ONE}, r"dictionary of \['left'\]"),
        ((ONE, np.full((7, 2), np.nan)), r"`images\['right'\]` must be finite"),
        ((ONE, TWO, TWO), "batch 0 is a ndarray"),
        (iter([(ONE,)]), "batch 0 is a tuple of 1"),
    ],
)
def test_samples_that_do_not_fit_several_inputs(data, message):
    with pytest.raises(ValueError, match=message):
        Samples.of(_pair(), data)
    other = Samples.of(_model(), IMAGES)
    with pytest.raises(ValueError, match="Received: <7 samples of shape"):
        Samples.of(_pair(), other)


def test_fractions_are_no_integers():
    with pytest.raises(ValueError, match=r"must be integers: the model takes int32"):
        Samples.of(_pair(dtype="int32"), (ONE, TWO + 0.5))


def test_batches_of_many_sizes():
    images = [np.zeros((1, side, 8, 4)) for side in (5, 6)]
    with pytest.raises(ValueError, match="one size in all batches"):
        Samples.of(_model((None, None, 4)), images)


def test_models_without_a_graph():
    with pytest.raises(ValueError, match="built"):
        Samples.of(keras.Sequential([layers.Conv2D(2, 3)]), IMAGES)


def test_batches_are_of_nearly_equal_size():
    images = np.arange(10)[:, None, None, None] * np.ones((10, 9, 9, 4))
    found = [batch for (batch,) in Samples.of(_model(), images).batches(4)]
    assert [len(batch) for batch in found] == [4, 3, 3]
    np.testing.assert_array_equal(np.concatenate(found), images)


@pytest.mark.parametrize("batch_size", [0, 2.5, True, "8"])
def test_impossible_batches(batch_size):
    with pytest.raises(ValueError, match=f"Received: batch_size={batch_size!r}"):
        list(Samples.of(_model(), IMAGES).batches(batch_size))


@pytest.mark.parametrize(("count", "held"), [(2, 1), (9, 1), (100, 20), (3000, 500)])
def test_a_fifth_is_held_out(count, held):
    ones = np.arange(3.0 * count).reshape(-1, 3)
    pairs = Samples.of(_pair(), (ones, ones[:, :2]))
    parts = pairs.split(seed=3)
    assert [len(part) for part in parts] == [count - held, held]
    together = np.concatenate([part.arrays[0] for part in parts])
    np.testing.assert_array_equal(np.sort(together, axis=0), ones)
    for part in parts:  # inputs stay together
        np.testing.assert_array_equal(part.arrays[0][:, :2], part.arrays[1])
    np.testing.assert_array_equal(pairs.split(seed=3)[1].inputs[0], parts[1].inputs[0])
    assert len(pairs.take(2)) == 2 and len(pairs.take(10**6)) == count


def test_one_sample_cannot_be_split():
    with pytest.raises(ValueError, match="two images or more"):
        Samples.of(_model(), IMAGES[:1]).split()


def test_few_samples_are_warned_of():
    seen = {"wide": (40, 100), "wider": (80, 400), "narrow": (40, 10)}
    with pytest.warns(UserWarning, match="20 of them give layer 'wider' 80 .* 100 im"):
        samples.warn_if_few(seen, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples.warn_if_few({"narrow": (40, 10)}, 20)


def test_a_runnable_copy():
    """Stock groups are swapped for fast ones, and nothing else changes."""
    model = _model()
    copy = samples.runnable(model)
    assert type(copy.get_layer(model.layers[0].name)) is GroupedConv2D
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_inference_mode():
    ones = np.ones((2, 50), "float32")
    dropout = layers.Dropout(0.5)
    np.testing.assert_array_equal(
        samples.infer(dropout, (ones,), {"training": True}), ones
    )
    dense = layers.Dense(3)
    assert samples.infer(dense, (ones,), {}).shape == (2, 3)


def test_batches_of_large_samples_hold_fewer():
    model = keras.Sequential([keras.Input((448, 448, 3)), layers.Flatten()])
    found = Samples.of(model, np.zeros((30, 448, 448, 3), "uint8"))
    assert found.batch_count(50) == 3
    assert [len(batch) for (batch,) in found.batches(50)] == [10, 10, 10]
    assert found.batch_count(4) == 8
