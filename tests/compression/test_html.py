import base64
import io
import re

import numpy as np
import pytest

from keras_roots.compression import html


def test_a_page_is_whole_and_needs_no_other_file():
    page = html.page("a < b", "<p>body</p>")
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
    assert "<title>a &lt; b</title>" in page and "<p>body</p>" in page
    assert "http" not in page


def test_a_table_escapes_headings_and_marks_the_chosen_row():
    table = html.table(["<layer>", "error"], [["a", "1"], ["b", "2"]], 1, chosen=1)
    assert "&lt;layer&gt;" in table
    rows = re.findall(r"<tr.*?</tr>", table)
    assert len(rows) == 3
    assert 'class="chosen"' in rows[2] and 'class="chosen"' not in rows[1]
    assert '<td class="left">b</td><td>2</td>' in rows[2]


def test_a_picture_holds_the_pixels():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype="uint8")
    figure = html.picture(pixels, 'a "b"')
    data = re.search(r"base64,([^\"]+)", figure)[1]
    found = np.asarray(image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(found, pixels)
    assert "a &quot;b&quot;" in figure


def test_bars_are_parts_of_the_longest():
    found = re.findall(r"width:([\d.]+)%", html.bars(5, 2, 10))
    assert found == ["50.00", "20.00"]
    assert re.findall(r"width:([\d.]+)%", html.bars(0, 0, 0)) == ["0.00", "0.00"]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_chart_falls_where_values_fall(logarithmic):
    values = [100.0, 10.0, 1.0, 0.0]
    chart = html.chart({"before": values}, "layer", 1.5, logarithmic)
    points = re.search(r'points="([^"]+)"', chart)[1].split()
    x, y = np.array([point.split(",") for point in points], float).T
    assert np.all(np.diff(x) > 0) and np.all(np.diff(y) >= 0)
    if logarithmic:  # a decade each
        np.testing.assert_allclose(np.diff(y)[:2], np.diff(y)[0], atol=0.11)
    mark = float(re.search(r'<line x1="([\d.]+)"', chart)[1])
    assert x[1] < mark < x[2]


@pytest.mark.parametrize("values", [[0.0], [2.0, 2.0], [np.nan_to_num(1e-40)]])
def test_charts_of_constant_values_are_drawn(values):
    assert "nan" not in html.chart({"after": values}, logarithmic=True)
