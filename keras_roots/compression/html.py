"""Parts of HTML pages that need no other file: tables, pictures, line charts."""

import base64
import html
import string
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

# Colours on light and on dark paper.
_COLOURS = {
    "ink": "light-dark(#1c2733, #e3e9ef)",
    "soft": "light-dark(#5b6b7b, #9aa9b8)",
    "line": "light-dark(#d8dee5, #33404d)",
    "paper": "light-dark(#ffffff, #12181f)",
    "panel": "light-dark(#f5f7f9, #1a222b)",
    "before": "light-dark(#9aa7b4, #66757f)",
    "after": "light-dark(#0a7d6c, #35c4ab)",
}
_STYLE = string.Template(
    """
:root { color-scheme: light dark; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1.25rem; background: $paper;
  color: $ink; font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; } .soft { color: $soft; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid $line; text-align: right;
  vertical-align: middle; white-space: nowrap; }
th { color: $soft; font-weight: 600; } .left { text-align: left; }
tr.chosen td { background: $panel; font-weight: 600; }
.bars { display: block; width: 9rem; }
.bars i { display: block; height: .38rem; margin: 1px 0; border-radius: 1px; }
.before { background: $before; stroke: $before; }
.after { background: $after; stroke: $after; }
.key i { display: inline-block; width: .8rem; height: .6rem; margin: 0 .3rem 0 1rem; }
.grid { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { color: $soft; font-size: .82rem; }
img { display: block; width: 8rem; image-rendering: pixelated; border-radius: 3px; }
svg { background: $panel; border-radius: 3px; }
polyline { fill: none; stroke-width: 1.6; }
@media (max-width: 40rem) {
  body { padding: 0 .7rem; font-size: 13px; } th, td { padding: .25rem .3rem; }
  img { width: 5rem; } svg { width: 7rem; height: 4rem; } .bars { width: 4rem; }
}
"""
).substitute(_COLOURS)


def page(title: str, *sections: str) -> str:
    """Returns a whole page.

    Args:
        title: Its title, as text.
        *sections: HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def text(value) -> str:
    """Returns a value as text in HTML."""
    return html.escape(str(value))


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: int = 1,
    chosen: int | None = None,
) -> str:
    """Returns a table.

    Args:
        header: Headings, as text.
        rows: Cells, as HTML.
        left: How many columns are flush left; the others are flush right.
        chosen: Row that stands out.
    """
    side = [' class="left"' if column < left else "" for column in range(len(header))]
    lines = [
        "".join(f"<th{s}>{text(h)}</th>" for s, h in zip(side, header, strict=True))
    ]
    lines += [
        "".join(f"<td{s}>{c}</td>" for s, c in zip(side, row, strict=True))
        for row in rows
    ]
    marks = [
        "",
        *(' class="chosen"' if index == chosen else "" for index in range(len(rows))),
    ]
    body = "\n".join(
        f"<tr{m}>{line}</tr>" for m, line in zip(marks, lines, strict=True)
    )
    return f'<div class="scroll"><table>{body}</table></div>'


def picture(pixels: np.ndarray, caption: str = "") -> str:
    """Returns a picture with what stands below it.

    Args:
        pixels: uint8 `(height, width, 3)`.
        caption: Text.
    """
    data = base64.b64encode(_png(pixels)).decode()
    return _figure(
        f'<img alt="{text(caption)}" src="data:image/png;base64,{data}">', caption
    )


def bars(before: float, after: float, most: float) -> str:
    """Returns two bars, one above the other.

    Args:
        before: Length of the upper one.
        after: Length of the lower one.
        most: Length that fills the width.
    """
    lengths = (("before", before), ("after", after))
    lines = "".join(
        f'<i class="{name}" style="width:{100 * value / (most or 1):.2f}%"></i>'
        for name, value in lengths
    )
    return f'<span class="bars">{lines}</span>'


def chart(
    lines: Mapping[str, Sequence[float]],
    caption: str = "",
    mark: float | None = None,
    logarithmic: bool = False,
) -> str:
    """Returns a small chart of values against their index.

    Args:
        lines: Values of `"before"` and `"after"`, or of one of them.
        caption: Text below.
        mark: Index at which a vertical line stands.
        logarithmic: Whether the vertical axis is; values below a ten thousandth of the
            largest are drawn there.
    """
    width, height, edge = 168, 96, 6
    every = np.concatenate([np.asarray(line, "float64") for line in lines.values()])
    high, low = float(every.max()), float(every.min())
    if logarithmic:
        low = max(low, high * 1e-4)
        scale = np.log10
        high, low = float(scale(max(high, 1e-30))), float(scale(max(low, 1e-30)))
    count = max(len(line) for line in lines.values())

    def place(index, value):
        if logarithmic:
            value = max(float(scale(max(value, 1e-30))), low)
        x = edge + (width - 2 * edge) * index / max(count - 1, 1)
        return x, height - edge - (height - 2 * edge) * (value - low) / (
            (high - low) or 1
        )

    drawn = []
    if mark is not None:
        x = place(mark, every[0])[0]
        drawn.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" '
            'class="after" stroke-dasharray="3 2"/>'
        )
    for name, line in lines.items():
        points = " ".join(
            "{:.1f},{:.1f}".format(*place(i, v)) for i, v in enumerate(line)
        )
        drawn.append(f'<polyline points="{points}" class="{name}"/>')
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    body = f'<svg {size} role="img">{"".join(drawn)}</svg>'
    return _figure(body, caption)


def grid(parts: Sequence[str]) -> str:
    """Returns parts side by side, in as many rows as they need."""
    return f'<div class="grid">{"".join(parts)}</div>'


KEY = (
    '<p class="soft key"><i class="before"></i>original'
    '<i class="after"></i>compressed</p>'
)


def _figure(body, caption) -> str:
    return f"<figure>{body}<figcaption>{text(caption)}</figcaption></figure>"


def _png(pixels) -> bytes:
    height, width = pixels.shape[:2]
    pixels = np.ascontiguousarray(pixels, "uint8").reshape(height, width * 3)
    lines = np.pad(pixels, ((0, 0), (1, 0)))  # each line has no filter
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(lines.tobytes())),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
