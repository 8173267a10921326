"""Times of filter groups on JAX, in a process that runs it."""

import json

from keras_roots.layers import jax_lowering
from keras_roots.training.reports import lowerings


def test_rows_of_a_small_layer(run_python):
    printed = run_python(
        """
import json
from keras_roots.training.reports import lowerings
layers = [("tiny", 6, 8, 16, 3, 4)]
how = {"layers": layers, "dtype": "float32", "turns": 2}
rows = list(lowerings.measure_lowerings((1, 2), **how))
print(json.dumps(rows))
""",
        KERAS_BACKEND="jax",
    )
    rows = json.loads(printed.splitlines()[-1])
    forms = [*jax_lowering.FORMS, lowerings.UNGROUPED]
    assert [(row["batch_size"], row["form"]) for row in rows] == [
        (size, form) for size in (1, 2) for form in forms
    ]
    for row in rows:
        assert (row["layer"], row["groups"], row["turns"]) == ("tiny", 4, 2)
        assert "jax" in row["versions"]
        for step in ("forward", "training"):
            dense = next(
                other[f"{step}_ms"]
                for other in rows
                if other["form"] == lowerings.UNGROUPED
                and other["batch_size"] == row["batch_size"]
            )
            assert row[f"{step}_ms"] > 0
            ratio = row[f"{step}_ms"] / dense
            assert abs(row[f"{step}_ratio"] / ratio - 1) < 0.1


def test_layers_can_be_divided():
    for _, side, channels, filters, size, groups in lowerings.LAYERS:
        assert side > 0 and size % 2 and channels % groups == filters % groups == 0
