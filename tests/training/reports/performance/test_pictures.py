"""The pictures of the committed results."""

from pathlib import Path

import pytest

from keras_roots import utils
from keras_roots.training.reports.performance.pictures import draw
from keras_roots.training.reports.performance.suites import SUITES

RESULTS = Path(__file__).parents[4] / "zoo" / "results" / "performance"

# Panels of each picture, and what stands in its legend.
PICTURES = {
    "ratios.png": (3, ["dense", "filter groups"]),
    "rewrites.png": (6, ["float32", "int8"]),
    "groups.png": (
        7,
        ["float32", "float32 optimised", "int8", "int8 optimised"],
    ),
    "yardstick-float32.png": (4, ["float32", "float32 optimised"]),
    "yardstick-int8.png": (4, ["int8", "int8 optimised"]),
    "yardstick-runtimes.png": (
        2,
        ["LiteRT", "LiteRT, optimised", "ONNX Runtime", "OpenVINO"],
    ),
    "yardstick-memory.png": (
        4,
        ["LiteRT", "LiteRT, optimised", "ONNX Runtime", "OpenVINO"],
    ),
    "sizes.png": (
        6,
        [
            "dense, float32",
            "filter groups, float32",
            "dense, int8",
            "filter groups, int8",
        ],
    ),
    "batches.png": (
        8,
        [
            "dense, threads: 1",
            "filter groups, threads: 1",
            "dense, threads: 2",
            "filter groups, threads: 2",
        ],
    ),
}


@pytest.mark.parametrize("name", SUITES)
def test_panels_and_legends(name, drawn, tmp_path):
    pictures = draw(name, utils.read_csv(RESULTS / f"{name}.csv"), tmp_path)
    names = [picture for picture in PICTURES if picture.startswith(name)]
    assert [path.name for path in pictures] == names
    for path, figure in zip(pictures, drawn, strict=True):
        assert path.exists() and (RESULTS / path.name).exists()
        panels, legend = PICTURES[path.name]
        assert len(figure.axes) == panels
        texts = figure.legends[0].get_texts()
        assert sorted(text.get_text() for text in texts) == sorted(legend)
        assert all(axes.lines or axes.patches for axes in figure.axes)


def test_words_of_the_panels(drawn, tmp_path):
    for name in ("ratios", "yardstick"):
        draw(name, utils.read_csv(RESULTS / f"{name}.csv"), tmp_path)
    ratios, points = (figure.axes[0] for figure in drawn[:2])
    assert ratios.get_title() == "ResNet-50, root 64: MACs 0.548 of dense"
    assert any("of dense" in text.get_text() for text in ratios.texts)
    assert points.get_title() == "threads: 1"
    assert points.get_xlabel() == "MACs (millions)"
    names = {text.get_text() for text in points.texts}
    assert {"ResNet50 (Keras)", "ResNet-50 dense", "GoogLeNet root 8"} <= names
    assert points.lines[-1].get_linestyle() == ":"  # in proportion to the dense one
