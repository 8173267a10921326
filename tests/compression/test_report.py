import dataclasses
import re

import helpers
import keras
import numpy as np
import pytest

from keras_roots.compression import plan_compression, report
from keras_roots.convolutions import Samples
from keras_roots.profiling import profile

ROWS = [
    {"name": "original", "quantize": None, "error": 0.0},
    {"name": "compressed", "quantize": "int8", "error": 0.125},
]
COLUMNS = {"name": "{}", "quantize": "{}", "error": "{:.2%}"}


def page(inputs, before, layers=(), spectra=None, classes=()):
    counts = profile(helpers.grouped()), profile(helpers.scores())
    what = ("network", {"processor": "a <b>"}, ROWS, COLUMNS, 1, layers, counts)
    return report.report(*what, spectra, inputs, before, before, classes)


def images(*shape):
    return np.random.default_rng(0).uniform(0, 255, (3, *shape)).astype("float32")


def test_stages_and_facts_are_shown_and_the_result_stands_out():
    found = page([images(8, 8, 3)], {"scores": np.eye(3)})
    assert "processor: a &lt;b&gt;" in found
    chosen = re.search(r'<tr class="chosen">.*?</tr>', found)[0]
    assert "compressed" in chosen and "12.50%" in chosen


def test_columns_without_values_are_left_out(monkeypatch):
    monkeypatch.setitem(COLUMNS, "metric", "{:.2f}")
    assert "<th>metric</th>" not in page([images(8, 8, 3)], {"scores": np.eye(3)})


def test_classes_have_their_names():
    scores = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
    found = page([images(8, 8, 3)], {"scores": scores}, classes=("cat", "<dog>"))
    assert "cat: 75.0%<br>&lt;dog&gt;: 25.0%" in found
    found = page([images(8, 8, 3)], {"scores": scores}, classes=("others",))
    assert "0: 75.0%<br>1: 25.0%" in found


@pytest.mark.parametrize(
    "values, kind",
    [
        (np.ones((3, 8, 8, 1)), "map"),
        (np.full((3, 8, 8, 5), 0.2), "classes"),
        (np.full((3, 4), 0.25), "softmax"),
        (np.ones((3, 1)), "number"),
        (-np.ones((3, 6)), "vector"),
        (np.ones((3, 2, 2, 4)), "vector"),
        (np.ones((3, 10, 7)), "vector"),
    ],
)
def test_outputs_are_shown_as_what_they_are(values, kind):
    found = page([images(8, 8, 3)], {"out": values})
    assert report._kind(values) == kind
    assert ('class="soft key"' in found) == (kind == "vector")
    pictures = found.count("<img")
    assert (
        "polyline" in found and 'class="after"/>' in found.split("<h2>Outputs")[1]
    ) == (kind == "vector")
    assert pictures == (9 if kind in ("map", "classes") else 3)


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 12, 3), (8, 8, 6), (16,), (1,)])
def test_inputs_of_any_shape_are_shown(shape):
    found = page([images(*shape), images(8, 8, 3)], {"out": np.ones((3, 1))})
    assert found.count("<polyline") == (3 if shape == (16,) else 0)
    shown = f'<div class="grid">{images(*shape)[0].ravel()[0]:.4g}<figure>'
    assert (shown in found) == (shape == (1,))
    assert found.count("<img") == (6 if len(shape) == 3 else 3)


def test_the_compressed_map_is_on_the_scale_of_the_original():
    dark, bright = np.zeros((4, 4, 1)), np.full((4, 4, 1), 2.0)
    reference = np.concatenate([dark, bright])
    half = report._grey(np.full((4, 4, 1), 1.0), reference)
    assert np.all(half == 127)


def test_layers_and_spectra_of_a_plan_are_shown(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            helpers.conv(16, 3, name="first"),
            helpers.conv(16, 3, name="second"),
            helpers.conv(16, 1, name="third"),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    helpers.assign_random(model)
    samples = helpers.pixels(20, 12)
    how = {"cost": "macs", "ways": ("rank",), "judge": "responses"}
    plan = plan_compression(model, samples, 0.4, **how)
    path = tmp_path / "report.html"
    report.write_report(
        path,
        model,
        plan.apply(),
        Samples.of(model, samples),
        facts={},
        stages=ROWS,
        columns=COLUMNS,
        chosen=1,
        layers=plan.layers,
    )
    found = path.read_text()
    forms = plan.methods
    assert set(forms.values()) == {"responses", "separable_responses"}
    for name, rank in plan.ranks.items():
        # Ranks of separable kernels count nothing that spectra of filters show.
        shown = f"{name}: {rank} of 16" in found
        assert shown == (forms[name] == "responses")
        row = next(row for row in found.split("<tr") if f">{name}<" in row)
        assert f">{forms[name]}<" in row
    directions = sum(form == "responses" for form in forms.values())
    assert found.count("stroke-dasharray") == directions
    assert f"{plan.macs:,} to {plan.macs_after:,}" in found
    assert found.count("<img") == report.SAMPLES == 6
    assert "as predicted" not in found
    timed = [dataclasses.replace(row, ms=0.5, ms_after=0.25) for row in plan.layers]
    found = page([images(8, 8, 3)], {"scores": np.eye(3)}, timed)
    assert "its convolutions 1.500 ms to 0.750 ms as predicted" in found


def test_pixels_that_rounding_overshoots_keep_their_colours(monkeypatch):
    drawn = []
    monkeypatch.setattr(report.html, "picture", lambda pixels: drawn.append(pixels))
    values = np.full((8, 8, 3), 100, "float32")
    values[0, 0], values[1, 1] = -2e-5, 255 + 2e-5
    for shown in (values, values.clip(0, 255)):
        report._input(shown)
    np.testing.assert_array_equal(*drawn)
    assert drawn[0][4, 4].tolist() == [100, 100, 100]
    assert drawn[0][1, 1].tolist() == [255, 255, 255]
