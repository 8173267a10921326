"""Names of the predicted classes."""

import importlib
import sys

import keras
import numpy as np
import pytest

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()


@pytest.fixture
def page(facts):
    return importlib.import_module(f"keras_roots.models.{facts.module}")


def one_hot(*labels, classes=10):
    """Predictions whose best classes are `labels`, from 0.9 down."""
    scores = np.zeros((1, classes), "float32")
    for rank, label in enumerate(labels):
        scores[0, label] = 0.9 - 0.2 * rank
    return scores


def test_ten_classes(page, facts):
    (found,) = page.decode_predictions(one_hot(9, 0, 3), top=3)
    expected = (
        [(9, "truck"), (0, "airplane"), (3, "cat")]
        if facts.classes == 10
        else [
            ("n03888257", "parachute"),
            ("n01440764", "tench"),
            ("n03000684", "chain_saw"),
        ]
    )
    assert [(label, name) for label, name, _ in found] == expected
    assert [score for *_, score in found] == pytest.approx([0.9, 0.7, 0.5])


def test_batch_and_default_top(page):
    found = page.decode_predictions(np.concatenate([one_hot(1), one_hot(2)]))
    assert [len(best) for best in found] == [5, 5]
    assert found[0][0][1] != found[1][0][1]


def test_every_name(page, facts):
    (found,) = page.decode_predictions(one_hot(*range(4)), top=10)
    names = {name for _, name, _ in found}
    assert len(names) == 10
    if facts.classes == 10:
        assert names == set(CIFAR10)


def test_imagenet(page, facts, monkeypatch):
    """Through keras.applications, whose list of names needs a download."""
    module = sys.modules[
        keras.applications.imagenet_utils.decode_predictions.__module__
    ]
    index = {str(label): [f"n{label:08}", f"class{label}"] for label in range(1000)}
    monkeypatch.setattr(module, "CLASS_INDEX", index)
    predictions = one_hot(388, 7, classes=1000)
    if facts.classes != 1000:
        with pytest.raises(ValueError, match=r"\(batch, 10\).*\(1, 1000\)"):
            page.decode_predictions(predictions)
        return
    (found,) = page.decode_predictions(predictions, top=2)
    assert [best[:2] for best in found] == [
        ("n00000388", "class388"),
        ("n00000007", "class7"),
    ]


@pytest.mark.parametrize("shape", [(10,), (1, 7), (1, 4, 4, 10), (0,)])
def test_wrong_shape(page, shape):
    with pytest.raises(ValueError, match="`preds` must be numbers of shape") as error:
        page.decode_predictions(np.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("top", [0, -1])
def test_bad_top(page, top):
    with pytest.raises(ValueError, match=f"`top` must be .*top={top}"):
        page.decode_predictions(one_hot(1), top=top)
