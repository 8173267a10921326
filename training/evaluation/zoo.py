"""Released networks: found in the index, measured, and their tables of results."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from scipy import stats

from keras_roots import benchmarking, utils
from keras_roots.models import NetworkName, create_model, released_index
from keras_roots.training import data
from keras_roots.training.evaluation.formats import LITERT_FORMATS
from keras_roots.training.evaluation.measure import Measured, measure
from keras_roots.utils import format_rows, markdown_table


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Where and how results are measured.

    Attributes:
        dataset: The data set, whose test split gives accuracies.
        output_dir: Existing folder for tables and pictures.
        runs: Timed calls of each file, at least.
        threads: Threads for accuracies; latencies are measured on one.
        say: Called with a line of text after each step.
    """

    dataset: data.Dataset
    output_dir: Path
    runs: int = 200
    threads: int = 1
    say: Callable[[str], None] = print


@dataclasses.dataclass(frozen=True)
class Released:
    """A released network, and what was measured of it.

    Attributes:
        entry: Its entry in the zoo's index.
        model: The network.
        formats: What was measured, by format; ratios are to the file of that format of
            the first network that was measured with it.
    """

    entry: dict
    model: keras.Model
    formats: dict[str, Measured]

    def columns(self, first: "Released") -> dict:
        """Returns the columns of every table of results.

        Args:
            first: The network that `macs_ratio` is to.
        """
        macs = self.entry["macs"]
        row = {
            "network": str(NetworkName.of_entry(self.entry)),
            "weights": self.entry["weights"],
            "groups": " ".join(map(str, self.entry["groups"])),
            "macs": macs,
            "macs_ratio": round(macs / first.entry["macs"], 4),
            "params": self.entry["params"],
            "images": self.formats["keras"].score.images,
        }
        row |= {f"{form}_top1": each.score.top1 for form, each in self.formats.items()}
        for form in LITERT_FORMATS:
            columns = self.formats[form].columns("bytes", "ms", "ratio")
            row |= {f"{form}_{name}": value for name, value in columns.items()}
        return row


def find_entries(model: str, prefix: str) -> list[dict]:
    """Returns entries of the zoo's index.

    Args:
        model: Registry name.
        prefix: What the name of their weights begins with.

    Raises:
        ValueError: There is none.
    """
    found = [
        entry
        for entry in released_index()
        if entry["model"] == model and entry["weights"].startswith(prefix)
    ]
    if not found:
        raise ValueError(f"No {model} is released as {prefix!r}")
    return found


def measure_released(entries: Sequence[dict], conditions: Conditions) -> list[Released]:
    """Measures released networks, the latencies of each format in turns.

    Args:
        entries: Their entries in the zoo's index.
        conditions: Where and how.

    Raises:
        ValueError: A released file is damaged.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    networks = {
        f"{name}, {entry['weights']}": create_model(str(name), weights=entry["weights"])
        for name, entry in zip(map(NetworkName.of_entry, entries), entries, strict=True)
    }
    found = measure(
        networks,
        conditions.dataset,
        threads=conditions.threads,
        runs=conditions.runs,
        against="format",
        say=conditions.say,
    )
    return [
        Released(entry, model, found[name])
        for entry, (name, model) in zip(entries, networks.items(), strict=True)
    ]


def wilson_interval(
    correct: np.ndarray, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of an accuracy that chance allows (Wilson, 1927).

    Args:
        correct: On which images a network was right, `(images,)`.
        confidence: Probability that such intervals hold the accuracy on all images.
    """
    test = stats.binomtest(int(np.sum(correct)), len(correct))
    interval = test.proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def write_table(
    conditions: Conditions,
    path: Path,
    title: str,
    rows: Sequence[dict],
    shown: Mapping[str, str],
    short: Callable[[dict], dict[str, str]],
) -> list[Path]:
    """Writes a table of results, whole and in short, and says it.

    Args:
        conditions: What says it.
        path: The CSV file to write; its short form in Markdown lies beside it.
        title: What the table is.
        rows: Values by column.
        shown: Columns to say, as for `format_rows`.
        short: Function of a row to that of the short form, its cells by heading.

    Returns:
        Both files.
    """
    cells = [short(row) for row in rows]
    text = markdown_table(list(cells[0]), [list(each.values()) for each in cells])
    utils.write_csv(path, rows)
    utils.write_text(path.with_suffix(".md"), text + "\n")
    conditions.say(f"\n{title}\n\n{format_rows(rows, shown, left=2)}\n")
    return [path, path.with_suffix(".md")]


def where() -> dict[str, str]:
    """Returns the columns that say where and when a table was measured."""
    return {
        "processor": benchmarking.processor(),
        "versions": benchmarking.versions(),
        "date": datetime.date.today().isoformat(),
    }
