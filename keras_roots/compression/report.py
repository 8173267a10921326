"""A page that shows a compression: stages, layers, spectra and outputs."""

import os
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_roots import graph, utils
from keras_roots.compression import html
from keras_roots.compression.fidelity import output_names
from keras_roots.convolutions import LayerPlan, Samples
from keras_roots.export import is_softmax
from keras_roots.lowrank import METHODS, RankAnalysis, rank_analysis
from keras_roots.profiling import Profile, profile

SAMPLES = 6  # whose outputs are shown
_CLASSES = 3  # shown of a softmax
_LINE = 512  # values shown of a vector, at most
_LEAST = 4  # height and width of what is shown as a picture
_ROUNDING = 0.01  # of pixels, which resizing overshoots
# Of classes, one colour each, again from the start where there are more.
_COLOURS = np.array(
    [
        (31, 41, 51),
        (10, 125, 108),
        (224, 159, 62),
        (84, 101, 255),
        (196, 69, 54),
        (148, 82, 165),
        (120, 170, 60),
        (110, 120, 130),
        (235, 200, 210),
        (60, 160, 220),
    ],
    "uint8",
)


def write_report(
    path: str | os.PathLike,
    original: keras.Model,
    compressed: keras.Model,
    samples: Samples,
    *,
    facts: Mapping[str, str],
    stages: Sequence[Mapping],
    columns: Mapping[str, str],
    chosen: int,
    layers: Sequence[LayerPlan] = (),
    planned: keras.Model | None = None,
    classes: Sequence[str] = (),
) -> None:
    """Writes one HTML page: stages, layers, their spectra, outputs side by side.

    Args:
        path: File to write, which needs no other.
        original: The network that was compressed.
        compressed: What became of it.
        samples: Samples whose outputs are shown, `SAMPLES` at most.
        facts: As for `report`, like the next three.
        stages: As for `report`.
        columns: As for `report`.
        chosen: As for `report`.
        layers: Rows of the plan of groups and ranks; none where no layer changed.
        planned: The network that the plan is of; by default the original.
        classes: Names of the classes of a softmax, in their order.

    Raises:
        OSError: The file cannot be written.
    """
    shown = samples.take(SAMPLES)
    ranks = [row.name for row in layers if _keeps_directions(row)]
    planned = graph.expand_composites(original if planned is None else planned)
    names = output_names(original)  # copies may have others
    page = report(
        f"{original.name}, compressed",
        facts,
        stages,
        columns,
        chosen,
        layers,
        (profile(original), profile(compressed)),
        rank_analysis(planned, layers=ranks) if ranks else None,
        shown.arrays,
        *(
            dict(zip(names, shown.outputs(model), strict=True))
            for model in (original, compressed)
        ),
        classes,
    )
    utils.write_text(path, page)


def report(
    title: str,
    facts: Mapping[str, str],
    stages: Sequence[Mapping],
    columns: Mapping[str, str],
    chosen: int,
    layers: Sequence[LayerPlan],
    counts: tuple[Profile, Profile],
    spectra: RankAnalysis | None,
    inputs: Sequence[np.ndarray],
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    classes: Sequence[str] = (),
) -> str:
    """Returns the page as HTML that needs no other file.

    Args:
        title: What was compressed.
        facts: Lines below the title: processor, versions, date.
        stages: A row per stage or file.
        columns: Columns of the stages to show where a row has a value, with the format
            of their values: `"{}"` for texts.
        chosen: Row of the result.
        layers: Rows of the plan of groups and ranks; none where no layer changed.
        counts: Costs of the original and of the compressed network.
        spectra: Ranks of the layers that became a kernel and a 1x1, of the original's
            weights.
        inputs: Sample inputs, an array `(n, ...)` per input of the network.
        before: The original's outputs for them, by name, `(n, ...)`.
        after: Those of the compressed network.
        classes: Names of the classes of a softmax, in their order.
    """
    parts = [f"<h1>{html.text(title)}</h1>"]
    parts += [f'<p class="soft">{html.text(f"{k}: {v}")}</p>' for k, v in facts.items()]
    parts += ["<h2>Stages</h2>", _stages(stages, columns, chosen)]
    if layers:
        parts += [
            "<h2>Layers</h2>",
            f"<p>{html.text(_totals(layers, *counts))}</p>",
            html.KEY,
            _layers(layers),
        ]
    if spectra is not None and spectra.layers:
        parts += [
            "<h2>Spectra</h2>",
            "<p>Energy of the principal directions of the filters of each layer that "
            "became a kernel and a 1x1, on a logarithmic scale, from the strongest to "
            "the weakest. The dashed line is the rank that the layer keeps, of each "
            "group where it has several.</p>",
            html.grid([_spectrum(layer, layers) for layer in spectra.layers]),
        ]
    parts += ["<h2>Outputs</h2>", _note(before)]
    if "vector" in map(_kind, before.values()):
        parts.append(html.KEY)
    parts.append(_samples(inputs, before, after, classes))
    return html.page(title, *parts)


def _stages(stages, columns, chosen) -> str:
    empty = (None, "")
    used = {
        name: form
        for name, form in columns.items()
        if any(row.get(name) not in empty for row in stages)
    }
    rows = [
        [
            "" if row.get(name) in empty else html.text(form.format(row[name]))
            for name, form in used.items()
        ]
        for row in stages
    ]
    texts = next((n for n, form in enumerate(used.values()) if form != "{}"), len(used))
    return html.table([name.replace("_", " ") for name in used], rows, texts, chosen)


def _totals(layers, before, after) -> str:
    text = f"Multiply-adds of the whole network {before.macs:,} to {after.macs:,}"
    text += f" ({after.macs / before.macs:.3f})"
    text += f", weights {before.params:,} to {after.params:,}"
    timed = [row for row in layers if row.ms is not None]
    if timed:
        ms = sum(row.ms for row in timed)
        ms_after = sum(row.ms_after for row in timed)
        text += f"; its convolutions {ms:.3f} ms to {ms_after:.3f} ms as predicted"
    return text + "."


def _layers(layers) -> str:
    timed = any(row.ms is not None for row in layers)
    header = ["layer", "gets", "method", "groups", "rank", "error"]
    header += ["multiply-adds", ""]
    header += ["ms"] * timed + ["stays because"]
    most = max(row.macs for row in layers)
    rows = []
    for row in layers:
        cells = [
            html.text(row.name),
            html.text(row.way or ""),
            html.text(row.method or "" if row.way == "rank" else ""),
            str(row.groups),
            "" if row.rank is None else str(row.rank),
            "" if row.error is None or not row.way else f"{row.error:.2%}",
            _change(row.macs, row.macs_after, "{:,}"),
            html.bars(row.macs, row.macs_after, most),
        ]
        if timed:
            cells.append(_change(row.ms, row.ms_after, "{:.3f}"))
        rows.append([*cells, html.text(row.reason)])
    return html.table(header, rows, 3)


def _keeps_directions(row) -> bool:
    """Whether the rank counts directions of filters: not those of rows and columns."""
    if row.way != "rank":
        return False
    return row.method is None or not METHODS[row.method].scheme.spatial


def _change(before, after, form) -> str:
    if before is None:
        return ""
    same = after == before
    return form.format(before) + ("" if same else f" &rarr; {form.format(after)}")


def _spectrum(layer, layers) -> str:
    energies = layer.eigenvalues.mean(axis=0)
    (rank,) = (row.rank for row in layers if row.name == layer.name)
    caption = f"{layer.name}: {rank} of {layer.full}"
    mark = rank / layer.groups - 0.5
    return html.chart({"before": energies}, caption, mark, logarithmic=True)


def _note(outputs) -> str:
    kinds = {_kind(values): name for name, values in reversed(outputs.items())}
    notes = {
        "classes": "the colour of the class with the largest score",
        "map": "brightness: the value, or the norm over channels",
    }
    told = [f"{kinds[kind]}: {note}" for kind, note in notes.items() if kind in kinds]
    return f'<p class="soft">{html.text("; ".join(told))}</p>' if told else ""


def _kind(values) -> str:
    """What an output is: classes or map (pictures), softmax, vector or number."""
    shape = values.shape[1:]
    if len(shape) == 3 and min(shape[:2]) >= _LEAST:
        return "classes" if is_softmax(values) else "map"
    size = int(np.prod(shape))
    if size == 1:
        return "number"
    return "softmax" if len(shape) == 1 and is_softmax(values) else "vector"


def _samples(inputs, before, after, classes) -> str:
    several = len(before) > 1
    header = ["input"] + [
        f"{name}, {which}" if several else which
        for name in before
        for which in ("original", "compressed")
    ]
    rows = []
    for index in range(min(SAMPLES, len(inputs[0]))):
        cells = [html.grid([_input(values[index]) for values in inputs])]
        for name in before:
            kind = _kind(before[name])
            one, other = before[name][index], after[name][index]
            cells += [_output(kind, x, one, classes) for x in (one, other)]
        rows.append(cells)
    return html.table(header, rows, len(header))


def _input(values) -> str:
    if values.ndim == 3 and min(values.shape[:2]) >= _LEAST:
        return html.picture(_grey(values) if values.shape[-1] != 3 else _rgb(values))
    return _number(values) if values.size == 1 else _curve(values)


def _output(kind, values, reference, classes) -> str:
    """An output as HTML, on the scale of the original's."""
    if kind == "classes":
        return html.picture(_COLOURS[values.argmax(axis=-1) % len(_COLOURS)])
    if kind == "map":
        return html.picture(_grey(values, reference))
    if kind == "number":
        return _number(values)
    if kind == "softmax":
        best = np.argsort(values)[::-1][:_CLASSES]
        names = classes if len(classes) == len(values) else range(len(values))
        scores = (f"{names[index]}: {values[index]:.1%}" for index in best)
        return "<br>".join(map(html.text, scores))
    return _curve(reference, None if values is reference else values)


def _number(values) -> str:
    return html.text(f"{values.item():.4g}")


def _curve(values, other=None) -> str:
    lines = {"before": values.ravel()[:_LINE]}
    if other is not None:
        lines["after"] = other.ravel()[:_LINE]
    return html.chart(lines)


def _grey(values, reference=None) -> np.ndarray:
    values, reference = (
        x[..., 0] if x.shape[-1] == 1 else np.linalg.norm(x, axis=-1)
        for x in (values, values if reference is None else reference)
    )
    return np.repeat(_bytes(values, reference)[..., None], 3, axis=-1)


def _rgb(values) -> np.ndarray:
    """Colours: pixels from 0 to 255 as they are, others stretched to their range."""
    if values.min() > -_ROUNDING and 1 < values.max() < 255 + _ROUNDING:
        return np.clip(values, 0, 255).astype("uint8")
    return _bytes(values, values)


def _bytes(values, reference) -> np.ndarray:
    low, high = float(reference.min()), float(reference.max())
    scaled = (values - low) / ((high - low) or 1)
    return (255 * np.clip(scaled, 0, 1)).astype("uint8")
