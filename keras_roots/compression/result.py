"""What a compression returns: the network, its file, and a table of stages."""

import dataclasses
import datetime
import os

import keras

from keras_roots import benchmarking
from keras_roots.compression import report
from keras_roots.compression.evaluation import flat, flat_columns
from keras_roots.compression.plan import CompressionPlan
from keras_roots.convolutions import Samples
from keras_roots.utils import checks, format_rows

COLUMNS = {
    "name": "{}",
    "quantize": "{}",
    "agreement": "{:.2%}",
    "error": "{:.2%}",
    "metric": "{:.4g}",
    "macs": "{:,}",
    "params": "{:,}",
    "bytes": "{:,}",
    "ms": "{:.3f}",
    "ratio": "{:.3f}",
    "chosen": "{}",
}
_ALWAYS = ("name", "quantize", "chosen")


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A network that was made cheaper; prints as a table.

    Attributes:
        model: The network, in float32; the original itself where quantising alone is
            best.
        plan: Its groups and ranks; `None` where quantising alone is best.
        quantize: How its file is quantised: `None` or `"int8"`.
        tflite: Content of its LiteRT file; `None` where LiteRT's converter refuses the
            network, which is allowed for with `cost="macs"`.
        rows: A row of each file and of each stage between, in this order: `"original"`,
            its float32 file; `"quantized"`, its int8 file, where that is allowed;
            `"fitted"`, `"recalibrated"` and `"fine-tuned"`, Keras models; and
            `"compressed"`, the file of the last that is kept. Each has `name`,
            `quantize`; `agreement`, the top-1 agreement with the original on held-out
            samples, `None` without a softmax; `error`, the relative squared error of
            the outputs, and `errors` by output where there are several; `metric`, of
            the Keras model; `macs`, `params`; of files also `bytes`, `ms`, and `ratio`
            to the time of the original's.
        chosen: Index of the row of the file that is returned.
        original: The network that was compressed.
        held_out: The samples that networks and files were compared on.
    """

    model: keras.Model
    plan: CompressionPlan | None = dataclasses.field(repr=False)
    quantize: str | None
    tflite: bytes | None = dataclasses.field(repr=False)
    rows: tuple[dict, ...]
    chosen: int
    original: keras.Model = dataclasses.field(repr=False)
    held_out: Samples = dataclasses.field(repr=False)

    @property
    def ratio(self) -> float | None:
        """Measured time over that of the original's float32 file."""
        return self.rows[self.chosen].get("ratio")

    @property
    def agreement(self) -> float | None:
        """Top-1 agreement of the file with the original on held-out samples."""
        return self.rows[self.chosen]["agreement"]

    @property
    def error(self) -> float:
        """Relative squared error of the file's outputs on held-out samples."""
        return self.rows[self.chosen]["error"]

    @property
    def table(self) -> tuple[list[dict], dict[str, str]]:
        """Rows as they are shown, and the columns with anything in them."""
        rows = [flat(row) for row in self.rows]
        rows[self.chosen]["chosen"] = "<-"
        used = {
            name: form
            for name, form in flat_columns(COLUMNS, self.rows).items()
            if name in _ALWAYS or any(row.get(name) is not None for row in rows)
        }
        return rows, used

    def __str__(self) -> str:
        return format_rows(*self.table, left=2)

    def save_report(self, path: str | os.PathLike) -> None:
        """Writes one HTML page: stages, layers, their spectra, outputs side by side.

        Args:
            path: File to write, which needs no other.

        Raises:
            OSError: The file cannot be written.
        """
        checks.path("path", path, required=True)
        rows, columns = self.table
        report.write_report(
            path,
            self.original,
            self.model,
            self.held_out,
            facts={
                "processor": benchmarking.processor(),
                "versions": benchmarking.versions(),
                "date": datetime.date.today().isoformat(),
            },
            stages=rows,
            columns=columns,
            chosen=self.chosen,
            layers=() if self.plan is None else self.plan.layers,
        )
