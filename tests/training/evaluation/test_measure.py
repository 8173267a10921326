"""Networks in several formats, measured side by side."""

import zlib

import keras
import numpy as np
import pytest

from keras_roots import benchmarking
from keras_roots.training.data import datasets
from keras_roots.training.evaluation.formats import LITERT_FORMATS, export
from keras_roots.training.evaluation.measure import measure, measure_files

pytest.importorskip("tensorflow")
pytest.importorskip("ai_edge_litert")

FLOAT, INT8 = LITERT_FORMATS


@pytest.fixture
def dataset():
    """Images of one colour, by which their class is known, but for one in four."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(0, 20, (40, 8, 8, 3)) + 200 * labels[:, None, None, None]
    train = datasets.Arrays(images.astype("uint8"), labels)
    wrong = np.where(np.arange(40) % 4 == 0, 1 - labels, labels)
    test = datasets.Arrays(images.astype("uint8"), wrong)
    return datasets.Dataset("bright", ("dark", "bright"), train, test, test, 8)


def network(filters):
    """Tells bright images from dark ones by their mean."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 128, -1),
            keras.layers.Conv2D(filters, 3, padding="same", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([np.abs(kernel), bias])
    weights = np.stack([-np.ones(filters), np.ones(filters)], axis=1) / filters
    model.layers[-1].set_weights([weights, np.zeros(2)])
    return model


@pytest.fixture
def comparisons(monkeypatch):
    """List of the comparisons of times: names, cases, contents of files, latencies."""
    found = []
    compare = benchmarking.compare

    def keep(targets, runs):
        contents = {}
        for name, case in targets.items():
            with open(case.target, "rb") as file:
                contents[name] = file.read()
        times = compare(targets, runs=5)
        names = dict(zip(targets, times, strict=True))
        found.append({"cases": targets, "contents": contents, "times": names})
        return times

    monkeypatch.setattr(benchmarking, "compare", keep)
    return found


def networks():
    return {"whole": network(32), "small": network(8)}


def test_every_network_is_measured_in_every_format(dataset, comparisons):
    said = []
    found = measure(networks(), dataset, say=said.append)
    assert {name: list(formats) for name, formats in found.items()} == {
        name: ["keras", FLOAT, INT8] for name in ("whole", "small")
    }
    (compared,) = comparisons
    files = [(name, form) for name in found for form in LITERT_FORMATS]
    assert list(compared["cases"]) == [" ".join(file) for file in files]
    assert found["whole"][FLOAT].ratio == 1
    for name, form in files:
        content = compared["contents"][f"{name} {form}"]
        time = compared["times"][f"{name} {form}"]
        assert found[name][form].columns(
            *("network", "format", "top1", "top5", "error", "images", "bytes"),
            *("zlib_bytes", "ms", "ratio", "processor", "versions"),
        ) == {
            "network": name,
            "format": form,
            "top1": 0.75,
            "top5": 1.0,
            "error": 0.25,
            "images": 40,
            "bytes": len(content),
            "zlib_bytes": len(zlib.compress(content, 9)),
            "ms": round(time.median_ms, 4),
            "ratio": round(time.ratio, 4),
            "processor": time.processor,
            "versions": time.versions,
        }
    assert found["whole"][FLOAT].bytes > found["small"][FLOAT].bytes
    model = found["whole"]["keras"]
    np.testing.assert_array_equal(model.correct, np.arange(40) % 4 != 0)
    unknown = model.columns("bytes", "zlib_bytes", "ms", "ratio")
    assert set(unknown.values()) == {None}
    assert said[1] == f"small: keras 75.00%, {FLOAT} 75.00%, {INT8} 75.00%"


def test_formats_are_compared_one_by_one(dataset, comparisons):
    found = measure(
        networks(), dataset, LITERT_FORMATS, against="format", timed_threads=2
    )
    assert [list(compared["cases"]) for compared in comparisons] == [
        [f"whole {form}", f"small {form}"] for form in LITERT_FORMATS
    ]
    assert [found["whole"][form].ratio for form in LITERT_FORMATS] == [1, 1]
    cases = [case for each in comparisons for case in each["cases"].values()]
    assert {case.threads for case in cases} == {2}


def test_files_are_measured_as_they_are(dataset, comparisons, tmp_path):
    model = network(8)
    path = export(model, dataset, tmp_path, [INT8])[INT8]
    model.save(tmp_path / "net.keras")
    found = measure(
        {
            "model": {"in memory": model, "saved": tmp_path / "net.keras"},
            "file": {"8 bits": str(path)},
        },
        dataset,
        split="train",
    )
    tops = [each.score.top1 for formats in found.values() for each in formats.values()]
    assert tops == [1, 1, 1]
    assert found["file"]["8 bits"].bytes == path.stat().st_size
    assert found["model"]["saved"].bytes == (tmp_path / "net.keras").stat().st_size
    assert comparisons[0]["cases"]["file 8 bits"].target == str(path)
    assert found["model"]["saved"].ms is None


def test_times_are_left_out(dataset, comparisons):
    found = measure({"whole": network(32)}, dataset, [FLOAT], runs=0)
    assert not comparisons
    assert found["whole"][FLOAT].columns("error", "ms") == {"error": 0.25, "ms": None}


@pytest.mark.parametrize(
    ("argument", "value"),
    [("split", "validation"), ("against", "all"), ("runs", -1), ("formats", ["onnx"])],
)
def test_impossible_arguments(dataset, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be"):
        measure({"whole": network(8)}, dataset, **{argument: value})


def test_a_row_per_network(dataset, comparisons):
    found = measure_files(networks(), dataset)
    assert list(found) == ["whole", "small"]
    times = comparisons[0]["times"]
    for name, row in found.items():
        columns = ("error", "bytes", "zlib_bytes", "ms", "ratio")
        assert list(row) == [
            *(f"{form}_{column}" for form in LITERT_FORMATS for column in columns),
            "processor",
        ]
        assert row[f"{INT8}_error"] == 0.25
        assert row[f"{FLOAT}_ms"] == round(times[f"{name} {FLOAT}"].median_ms, 4)
        assert row["processor"] == benchmarking.processor()
    assert found["whole"][f"{FLOAT}_ratio"] == 1
