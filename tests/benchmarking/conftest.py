"""What the tests of measurements share."""

import keras
import pytest
from keras import layers

# Rows of the table that the network of several inputs looks up.
ROWS = 3


@pytest.fixture
def several():
    """A network of an image, numbers and an index, by name, with two outputs."""
    inputs = {
        "picture": keras.Input((8, 6, 3), name="picture"),
        "numbers": keras.Input((4,), name="numbers"),
        "index": keras.Input((1,), dtype="int32", name="index"),
    }
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(inputs["picture"])
    looked_up = layers.Flatten()(layers.Embedding(ROWS, 5)(inputs["index"]))
    joined = [layers.GlobalAveragePooling2D()(x), inputs["numbers"], looked_up]
    scores = layers.Dense(2, name="scores")(layers.Concatenate()(joined))
    return keras.Model(inputs, {"map": x, "scores": scores}, name="several")
