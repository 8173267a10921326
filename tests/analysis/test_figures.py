import sys

import numpy as np
import pytest
from PIL import Image

from keras_roots.analysis import figures
from keras_roots.analysis.curves import plot_curves

RUNS = {"run": [{"epoch": 1, "val_accuracy": 0.5}, {"epoch": 2, "val_accuracy": 0.6}]}


def test_a_picture_is_written(tmp_path):
    path = tmp_path / "curves.png"
    path.write_text("an older one")
    plot_curves(RUNS, path)
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert min(pixels.shape[:2]) > 400
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


@pytest.mark.parametrize("suffix,start", [("pdf", b"%PDF"), ("SVG", b"<?xml")])
def test_the_suffix_says_the_format(tmp_path, suffix, start):
    path = tmp_path / f"curves.{suffix}"
    plot_curves(RUNS, path)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["curves", "curves.docx"])
def test_an_unknown_format_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"`path` must end in.*\.png.*Received"):
        plot_curves(RUNS, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`path`"):
        plot_curves(RUNS, tmp_path / "none" / "curves.png")


def test_without_matplotlib_the_error_says_what_to_install(run_python):
    printed = run_python(
        "import sys\n"
        "sys.modules['matplotlib'] = None\n"
        "from keras_roots import analysis\n"
        "try:\n"
        f"    analysis.plot_curves({RUNS}, 'curves.png')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert "pip install 'keras_roots[plots]'" in printed


def test_no_window_is_opened(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    plot_curves(RUNS, tmp_path / "curves.png")


@pytest.mark.parametrize("count", range(1, 21))
def test_panels(count):
    figure, panels = figures.panels(count, 2, 2)
    assert len(panels) == len(figure.axes) == count


def test_styles_differ():
    looks = figures.styles(range(7)).values()
    assert len({look.color for look in looks}) == 7
    assert len({look.marker for look in looks}) == 7
