import itertools

import pytest
import tensorflow as tf

from keras_roots.export.host import Kind, each_choice, has_native, make_choice

KINDS = [
    Kind(*kind)
    for kind in itertools.product(
        ("float32", "bfloat16", "float64"),
        ("channels_last", "channels_first"),
        (False, True),
    )
]


def _runs(kind):
    """Whether a graph of convolution + bias + ReLU runs here, found by trying."""
    channels_last = kind.data_format == "channels_last"
    layout = "NHWC" if channels_last else "NCHW"

    @tf.function
    def fused(images, kernel, bias):
        rate = 2 if kind.dilated else 1
        outputs = tf.nn.conv2d(images, kernel, 1, "SAME", layout, rate)
        return tf.nn.relu(tf.nn.bias_add(outputs, bias, layout))

    shape = (1, 6, 6, 4) if channels_last else (1, 4, 6, 6)
    try:
        fused(
            tf.ones(shape, kind.dtype),
            tf.ones((3, 3, 2, 8), kind.dtype),
            tf.ones(8, kind.dtype),
        )
    except tf.errors.OpError:
        return False
    return True


# oneDNN does not compute with integers of 32 bits, nor anything else with this layout.
IMPOSSIBLE = Kind("int32", "channels_first", False)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_answer_is_what_happens(kind):
    assert bool(has_native(make_choice([kind]))) == _runs(kind)


def test_all_kinds_must_work():
    assert not has_native(make_choice([IMPOSSIBLE]))
    assert not has_native(make_choice([KINDS[0], IMPOSSIBLE]))


def test_choices_do_not_share_their_answer():
    choices = make_choice([]), make_choice([IMPOSSIBLE])
    assert [bool(has_native(choice)) for choice in choices] == [True, False]


def test_every_choice_is_made_in_turn():
    choice = make_choice([])
    made = [(way, bool(has_native(choice))) for way in each_choice(choice)]
    assert made == [("split", False), ("native", True)]
    choice = make_choice([IMPOSSIBLE])
    assert list(each_choice(choice)) == ["split"]
