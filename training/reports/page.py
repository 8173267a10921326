"""The page that shows a run of stages: `report.html`."""

from collections.abc import Mapping, Sequence

from keras_roots import compression
from keras_roots.convolutions import Samples
from keras_roots.training import data, plans, runs
from keras_roots.training.stages import Context, Outcome

PAGE = "report.html"
_PLANS = "decompose"  # the stage that leaves a plan


def write_page(
    outcome: Outcome,
    context: Context,
    rows: Sequence[Mapping],
    columns: Mapping[str, str],
    chosen: int = -1,
) -> None:
    """Writes what a compression by stages has made of a network as one HTML page.

    It shows the rows, the plan of the stage `decompose`, the spectra of the layers that
    it decomposes, and outputs of the first and of the last network for images that
    nothing was fitted to.

    Args:
        outcome: What the stages have left.
        context: Where they ran.
        rows: A row per stage or file.
        columns: Columns to show, with the format of their values.
        chosen: Row of the result; by default the last.

    Raises:
        OSError: The file cannot be written.
    """
    done, dataset = outcome.done, context.dataset
    original = outcome.model(done[0])
    # The plan is of what stood before that stage, after forces for instance.
    planned = done[max(done.index(_PLANS) - 1, 0)] if _PLANS in done else done[0]
    labelled = isinstance(dataset, data.Dataset)
    compression.write_report(
        outcome.folder / PAGE,
        original,
        outcome.model(done[-1]),
        _samples(original, context) if labelled else dataset.held_out,
        facts={name: text for name, text in runs.describe().items() if text},
        stages=rows,
        columns=columns,
        chosen=range(len(rows))[chosen],
        layers=plans.read(outcome.folder / _PLANS),
        planned=outcome.model(planned),
        classes=dataset.class_names if labelled else (),
    )


def _samples(original, context) -> Samples:
    """Images of the test split."""
    side = original.input_shape[1]
    found = context.dataset.test.sample(compression.SAMPLES, side, context.seed)
    return Samples.of(original, found)
