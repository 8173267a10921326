"""What each stage of a compression is worth."""

import helpers
import keras
import numpy as np
import pytest

from keras_roots.training.data import open_dataset
from keras_roots.training.reports import compression
from keras_roots.training.stages import (
    Context,
    Decompose,
    Decomposition,
    Keep,
    Outcome,
    run,
)


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compression")
    dataset = open_dataset(helpers.colours(folder / "colours.npz"), holdout=8)
    return Context(dataset, folder / "run", say=lambda line: None, verbose=False)


@pytest.fixture(scope="module")
def finished(context):
    """A network and its decomposition, of which every stage is done."""
    settings = Decomposition(error=0.3, recalibration_images=16)
    stages = [Keep("baseline"), Keep("force"), Decompose(settings=settings)]
    keras.utils.set_random_seed(0)
    return run(stages, context, helpers.convolutions, {})


@pytest.fixture
def nothing(tmp_path):
    return Outcome(tmp_path, ("baseline", "force"))


def test_ranks_before_decomposing(finished, nothing):
    found = compression.ranks(finished, 0.3)
    assert list(found) == ["baseline", "force"]
    assert len(found["force"].layers) == 2  # without the 1x1s
    table = helpers.read_rows(finished.folder / "ranks.csv")
    assert len(table) == 2 * 2
    assert (finished.folder / "spectra.png").stat().st_size > 1000
    model = finished.model("force")
    kernel = keras.ops.convert_to_numpy(model.get_layer("first").kernel)
    values = np.linalg.svd(kernel.reshape(-1, 8), compute_uv=False) ** 2
    rank = int((np.cumsum(values) / values.sum() < 0.7).sum()) + 1
    (row,) = [r for r in table if (r["stage"], r["layer"]) == ("force", "first")]
    assert int(row["rank"]) == rank
    with pytest.raises(ValueError, match="has none: run one first"):
        compression.ranks(nothing)


def test_ranks_of_a_network_of_1x1s():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(5, 1, name="only")(inputs)
    analysis = compression.analyse(keras.Model(inputs, x))
    assert [layer.name for layer in analysis.layers] == ["only"]


@pytest.mark.slow
def test_export_measures_every_stage(finished, context, nothing):
    table = compression.export_stages(finished, context, timed=5)
    assert [row["stage"] for row in table] == finished.done
    for row in table:
        for kind in ("float32", "int8"):
            path = finished.folder / "export" / f"{row['stage']}-{kind}.tflite"
            assert row[f"{kind}_bytes"] == path.stat().st_size
            assert row[f"{kind}_ms"] > 0
        assert row["float32_top1"] == row["top1"]
    assert table[0]["float32_ratio"] == table[0]["int8_ratio"] == 1
    assert "validation_top1" in table[0]
    assert len(helpers.read_rows(finished.folder / "table.csv")) == 3
    text = compression.render_stages(table)
    assert f"{table[2]['macs']:,}" in text
    with pytest.raises(ValueError, match="nothing to export"):
        compression.export_stages(nothing, context)
