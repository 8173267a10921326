"""A page that shows a compression: stages, layers, spectra and outputs."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_roots.compression import html
from keras_roots.compression.fidelity import is_softmax
from keras_roots.convolutions import Plan
from keras_roots.lowrank import RankAnalysis

SAMPLES = 6  # whose outputs are shown
_CLASSES = 3  # shown of a softmax
_LINE = 512  # values shown of a vector, at most
_LEAST = 4  # height and width of what is shown as a picture
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


def report(
    title: str,
    facts: Mapping[str, str],
    stages: Sequence[Mapping],
    columns: Mapping[str, str],
    chosen: int,
    plan: Plan | None,
    spectra: RankAnalysis | None,
    inputs: Sequence[np.ndarray],
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
) -> str:
    """Returns the page as HTML that needs no other file.

    Args:
        title: What was compressed.
        facts: Lines below the title: processor, versions, date.
        stages: A row per stage or file.
        columns: Columns of the stages to show, with the format of their values; the
            first two are texts.
        chosen: Row of the result.
        plan: Groups and ranks; `None` where no layer changed.
        spectra: Ranks of the layers that were decomposed, of the original's weights.
        inputs: Sample inputs, an array `(n, ...)` per input of the network.
        before: The original's outputs for them, by name, `(n, ...)`.
        after: Those of the compressed network.
    """
    parts = [f"<h1>{html.text(title)}</h1>"]
    parts += [f'<p class="soft">{html.text(f"{k}: {v}")}</p>' for k, v in facts.items()]
    parts += ["<h2>Stages</h2>", _stages(stages, columns, chosen)]
    if plan is not None:
        parts += [
            "<h2>Layers</h2>",
            f"<p>{html.text(_totals(plan))}</p>",
            html.KEY,
            _layers(plan),
        ]
    if spectra is not None and spectra.layers:
        parts += [
            "<h2>Spectra</h2>",
            "<p>Energy of the principal directions of each layer's filters, on a "
            "logarithmic scale, from the strongest to the weakest. The dashed line is "
            "the rank that the layer keeps, of each group where it has several.</p>",
            html.grid([_spectrum(layer, plan) for layer in spectra.layers]),
        ]
    parts += ["<h2>Outputs</h2>", _note(before), html.KEY]
    parts.append(_samples(inputs, before, after))
    return html.page(title, *parts)


def _stages(stages, columns, chosen) -> str:
    rows = [
        [
            "" if row.get(name) in (None, "") else html.text(form.format(row[name]))
            for name, form in columns.items()
        ]
        for row in stages
    ]
    return html.table([name.replace("_", " ") for name in columns], rows, 2, chosen)


def _totals(plan) -> str:
    text = f"Multiply-adds {plan.macs:,} to {plan.macs_after:,}"
    text += f" ({plan.macs_after / plan.macs:.3f})"
    text += f", weights {plan.params:,} to {plan.params_after:,}"
    if plan.ms is not None:
        text += f", {plan.ms:.3f} ms to {plan.ms_after:.3f} ms as predicted"
    return text + "."


def _layers(plan) -> str:
    timed = any(row.ms is not None for row in plan.layers)
    header = ["layer", "gets", "groups", "rank", "error", "multiply-adds", ""]
    header += ["ms"] * timed + ["stays because"]
    most = max((row.macs for row in plan.layers), default=1)
    rows = []
    for row in plan.layers:
        cells = [
            html.text(row.name),
            html.text(row.way or ""),
            str(row.groups),
            "" if row.rank is None else str(row.rank),
            "" if row.error is None or not row.way else f"{row.error:.2%}",
            _change(row.macs, row.macs_after, "{:,}"),
            html.bars(row.macs, row.macs_after, most),
        ]
        if timed:
            cells.append(_change(row.ms, row.ms_after, "{:.3f}"))
        rows.append([*cells, html.text(row.reason)])
    return html.table(header, rows, 2)


def _change(before, after, form) -> str:
    if before is None:
        return ""
    same = after == before
    return form.format(before) + ("" if same else f" &rarr; {form.format(after)}")


def _spectrum(layer, plan) -> str:
    energies = layer.eigenvalues.mean(axis=0)
    rank = plan.ranks.get(layer.name) if plan is not None else None
    mark = None if rank is None else rank / layer.groups - 0.5
    caption = layer.name if rank is None else f"{layer.name}: {rank} of {layer.full}"
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


def _samples(inputs, before, after) -> str:
    several = len(before) > 1
    header = ["image"] + [
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
            cells += [_output(kind, one, one), _output(kind, other, one)]
        rows.append(cells)
    return html.table(header, rows, len(header))


def _input(values) -> str:
    if values.ndim == 3 and min(values.shape[:2]) >= _LEAST:
        return html.picture(_grey(values) if values.shape[-1] != 3 else _rgb(values))
    return _curve(values)


def _output(kind, values, reference) -> str:
    """An output as HTML, on the scale of the original's."""
    if kind == "classes":
        return html.picture(_COLOURS[values.argmax(axis=-1) % len(_COLOURS)])
    if kind == "map":
        return html.picture(_grey(values, reference))
    if kind == "number":
        return html.text(f"{values.item():.4g}")
    if kind == "softmax":
        best = np.argsort(values)[::-1][:_CLASSES]
        return "<br>".join(f"{index}: {values[index]:.1%}" for index in best)
    return _curve(reference, None if values is reference else values)


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
    if values.min() >= 0 and 1 < values.max() <= 255:
        return values.astype("uint8")
    return _bytes(values, values)


def _bytes(values, reference) -> np.ndarray:
    low, high = float(reference.min()), float(reference.max())
    scaled = (values - low) / ((high - low) or 1)
    return (255 * np.clip(scaled, 0, 1)).astype("uint8")
