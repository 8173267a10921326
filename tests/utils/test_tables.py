"""Tables of text."""

import pytest

from keras_roots.utils.tables import (
    format_rows,
    format_table,
    markdown_rows,
    quote_cells,
    unquote_cell,
)


def test_columns_line_up_under_a_rule():
    text = format_table(("", "name", "n"), [("a", "bb", "1"), ("x", "b", "22")], left=2)
    assert text.splitlines() == [
        "   name   n",
        "-----------",
        "a  bb     1",
        "x  b     22",
    ]


def test_the_total_is_set_apart():
    text = format_table(("name", "n"), [("a", "1")], ("total", "1"), left=1)
    assert text.splitlines() == ["name   n", "-" * 8, "a      1", "-" * 8, "total  1"]


def test_rows_have_a_column_for_each_format():
    rows = [{"layer": "a", "top_1": 0.5, "other": 1}, {"layer": "bb", "top_1": None}]
    text = format_rows(rows, {"layer": "{}", "top_1": "{:.1%}"}, left=1)
    assert text.splitlines() == ["layer  top 1", "------------", "a      50.0%", "bb"]


def test_markdown_shows_the_named_columns_and_leaves_cells_empty():
    shown = {"a": ("first", "{:.1f}"), "b": ("second", "{}")}
    rows = [{"a": 1, "b": "x", "c": 5}, {"a": None, "b": ""}]
    assert markdown_rows(rows, shown).splitlines() == [
        "| first | second |",
        "| --- | --- |",
        "| 1.0 | x |",
        "|  |  |",
    ]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("-block", "'-block"),
        ("'+a", "''+a"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        (-0.5, -0.5),
        (None, None),
        ("conv1", "conv1"),
        ("it's", "it's"),
    ],
)
def test_cells_that_look_like_formulas_are_quoted(value, cell):
    assert quote_cells({"a": value}) == {"a": cell}
    if isinstance(value, str):
        assert unquote_cell(cell) == value
