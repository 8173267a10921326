"""Tables of text: for the terminal, in Markdown, and the cells of CSV files."""

from collections.abc import Iterable, Mapping, Sequence

# What spreadsheets take for the start of a formula; the apostrophe makes it a text.
_FORMULA = "=+-@\t\r"
_QUOTE = "'"


def format_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    total: Sequence[str] | None = None,
    left: int = 0,
) -> str:
    """Returns an aligned table of texts.

    Args:
        header: Headings of the columns.
        rows: Texts of the cells.
        total: An optional last row, set apart.
        left: How many columns are flush left; the others are flush right.
    """
    every = [header, *rows, *([total] if total else [])]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines.insert(1, rule)
    if total:
        lines.insert(-1, rule)
    return "\n".join(lines)


def format_rows(
    rows: Sequence[Mapping], columns: Mapping[str, str], left: int = 0
) -> str:
    """Returns an aligned table of rows with columns by name.

    Args:
        rows: Values by column; what is missing, `None` or an empty text stays empty.
        columns: Columns to show, with the format of their values, as for `str.format`.
        left: As for `format_table`.
    """
    lines = _cells(rows, columns)
    return format_table([name.replace("_", " ") for name in columns], lines, left=left)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table of texts in Markdown.

    Args:
        header: Headings of the columns.
        rows: Texts of the cells.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def markdown_rows(
    rows: Sequence[Mapping], columns: Mapping[str, tuple[str, str]]
) -> str:
    """Returns a table in Markdown of rows with columns by name.

    Args:
        rows: Values by column; what is missing, `None` or an empty text stays empty.
        columns: Columns to show, with their headings and the format of their values, as
            for `str.format`.
    """
    header = [heading for heading, _ in columns.values()]
    forms = {name: form for name, (_, form) in columns.items()}
    return markdown_table(header, _cells(rows, forms))


def quote_cells(row: Mapping) -> dict:
    """Returns a row for a CSV file, whose texts no spreadsheet takes for formulas.

    A text that starts as a formula does, and is no number, gets an apostrophe before
    it; `unquote_cell` takes it away again.

    Args:
        row: Values by column.
    """
    return {name: _quoted(value) for name, value in row.items()}


def unquote_cell(text: str) -> str:
    """Returns the text of a cell as it was before `quote_cells`.

    Args:
        text: The cell as a CSV file has it.
    """
    quoted = text and text[0] == _QUOTE and _is_formula(text[1:])
    return text[1:] if quoted else text


def _quoted(value):
    named = isinstance(value, str) and not _is_number(value)
    return _QUOTE + value if named and _is_formula(value) else value


def _is_formula(text) -> bool:
    """Tells whether a text needs an apostrophe; one that has one already too."""
    return text != "" and text[0] in _FORMULA + _QUOTE


def _is_number(text) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cells(rows, columns) -> list[list[str]]:
    return [
        [
            "" if row.get(name) in (None, "") else form.format(row[name])
            for name, form in columns.items()
        ]
        for row in rows
    ]
