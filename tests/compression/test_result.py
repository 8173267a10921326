import helpers
import keras
import numpy as np
import pytest

from keras_roots.compression.plan import CompressionPlan
from keras_roots.compression.planner import plan_compression
from keras_roots.compression.result import Compressed
from keras_roots.convolutions import Samples


def _network():
    image = keras.Input((12, 12, 3), name="image")
    x = helpers.conv(16, 3, name="first", activation="relu")(image)
    x = helpers.conv(16, 3, name="second", activation="relu")(x)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    outputs = {
        "scores": keras.layers.Dense(3, activation="softmax", name="scores")(pooled),
        "maps": helpers.conv(1, 1, name="maps")(x),
    }
    return helpers.assign_random(keras.Model(image, outputs, name="two_answers"))


@pytest.fixture(scope="module")
def plan() -> CompressionPlan:
    model = _network()
    return plan_compression(model, helpers.pixels(40, 12), 0.7, cost="macs")


def _row(name, error, **more):
    return {
        "name": name,
        "quantize": None,
        "agreement": 1 - error,
        "error": error,
        "errors": {"scores": error, "maps": error / 2},
        "metric": None,
        "macs": 100,
        **more,
    }


@pytest.fixture
def small(plan):
    rows = (
        _row("original", 0.0, bytes=10, ms=2.0, ratio=1.0),
        _row("fitted", 0.25),
        _row("compressed", 0.125, bytes=5, ms=1.0, ratio=0.5, quantize="int8"),
    )
    held_out = Samples.of(plan.model, helpers.pixels(10, 12))
    model = plan.apply()
    return Compressed(model, plan, "int8", b"file", rows, 2, plan.model, held_out)


def test_figures_are_those_of_the_chosen_file(small):
    assert (small.ratio, small.agreement, small.error) == (0.5, 0.875, 0.125)


def test_the_table_has_a_column_per_output_and_none_that_is_empty(small):
    rows, columns = small.table
    names = list(columns)
    assert names[names.index("error") + 1 :][:2] == ["error scores", "error maps"]
    assert "metric" not in names and "params" not in names
    assert [row.get("chosen") for row in rows] == [None, None, "<-"]
    lines = str(small).splitlines()
    assert lines[-1].startswith("compressed") and lines[-1].endswith("<-")
    assert "6.25%" in lines[-1] and "int8" in lines[-1]
    assert "chosen" not in small.rows[2]


def test_the_report_is_one_page(small, plan, tmp_path):
    small.save_report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for text in ("two_answers", "compressed", "Layers", "Outputs", "processor"):
        assert text in page
    assert page.count("<img") > 0 and "12.50%" in page
    assert ("Spectra" in page) == ("responses" in plan.methods.values())


def test_the_report_needs_a_path(small):
    with pytest.raises(ValueError, match="`path` must be a path"):
        small.save_report(3)


def test_a_network_that_is_only_quantised_has_a_report_without_layers(small, tmp_path):
    model = small.original
    rows = (_row("original", 0.0), _row("quantized", 0.01, quantize="int8"))
    plain = Compressed(model, None, "int8", b"", rows, 1, model, small.held_out)
    plain.save_report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Layers" not in page and "Spectra" not in page and "Outputs" in page
    assert np.isclose(plain.error, 0.01)
