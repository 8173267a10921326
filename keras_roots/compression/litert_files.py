"""LiteRT files of a compression: made, measured in turns, and the best of them."""

import dataclasses
import os
import tempfile

import keras

from keras_roots import benchmarking, export
from keras_roots.compression.meet_budget import export_bytes
from keras_roots.compression.plan import CompressionPlan

_RUNS = 200  # timed calls of each file


@dataclasses.dataclass
class LiteRTFile:
    """A LiteRT file to choose among.

    Attributes:
        name: Name of its row.
        model: Its network.
        plan: Groups and ranks of the network, if any.
        quantize: How it is quantised.
        content: The file, once it is made; `None` where LiteRT refuses the network.
    """

    name: str
    model: keras.Model
    plan: CompressionPlan | None
    quantize: str | None
    content: bytes | None = None

    def near(self, evaluation):
        """How near its outputs are; those of its network where there is no file."""
        if self.content is None:
            return None
        return evaluation.of_file(self.content)


def exported(files, samples, target, required, say) -> list[LiteRTFile]:
    """Makes files.

    Args:
        files: What to make.
        samples: What int8 is calibrated with.
        target: Processor that the files are for.
        required: Names of files that must not be refused.
        say: Called with a line of text about each that is.

    Returns:
        The files with their content; the original's int8 file is left out where LiteRT
        refuses it.

    Raises:
        ExportError: LiteRT refuses a file that is required, or quantised.
    """
    found = []
    for file in files:
        try:
            how = (file.quantize, samples, target)
            file.content = export_bytes(file.model, *how)
        except export.ExportError as error:
            if file.name in required or (file.quantize and file.name != "quantized"):
                raise
            say(f"{file.name}: no file, {error}")
            if file.name == "quantized":
                continue
        found.append(file)
    return found


def measured(files, threads) -> list[dict]:
    """Measures files in turns.

    Args:
        files: The files; those without content are left out.
        threads: Threads of LiteRT.

    Returns:
        `bytes`, `ms` and `ratio` to the original's time, a row per file.
    """
    rows, cases = [{} for _ in files], {}
    with tempfile.TemporaryDirectory() as folder:
        for index, each in enumerate(files):
            if each.content is None:
                continue
            path = os.path.join(folder, f"{index}.tflite")
            with open(path, "wb") as file:
                file.write(each.content)
            cases[each.name] = benchmarking.Case(path, threads=threads)
        latencies = benchmarking.compare(cases, runs=_RUNS) if cases else []
    timed = dict(zip(cases, latencies, strict=True))
    for row, file in zip(rows, files, strict=True):
        if file.name in timed:
            latency = timed[file.name]
            row["bytes"] = len(file.content)
            row["ms"] = round(latency.median_ms, 4)
            # Without a file of the original there is nothing to relate times to.
            row["ratio"] = round(latency.ratio, 4) if "original" in timed else None
    return rows


def best(rows, budget) -> int:
    """Returns the index of the file to return: the nearest within the budget of time.

    Args:
        rows: A row per file: `name`, `metric`, `error`, `ratio`; the last is of the
            compressed network, if there is any.
        budget: Part of the original's time; `None` for the last.
    """
    last = len(rows) - 1
    if budget is None:
        return last

    def counts(row) -> bool:
        fast = row["ratio"] <= budget or row["ratio"] <= rows[last]["ratio"]
        return row["name"] == "quantized" and fast

    found = [last, *(index for index, row in enumerate(rows) if counts(row))]
    return min(
        found,
        key=lambda index: (
            -(rows[index]["metric"] or 0),
            rows[index]["error"],
            index,
        ),
    )
