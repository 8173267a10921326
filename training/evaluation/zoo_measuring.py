"""Measures released networks: accuracy in every format, size, latency in turns."""

import dataclasses
import datetime
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from scipy import stats

from keras_roots import benchmarking, utils
from keras_roots.benchmarking import Latency
from keras_roots.models import create_model, released_index, released_name
from keras_roots.training import data
from keras_roots.training.evaluation import accuracy, formats
from keras_roots.utils import format_rows, markdown_table

LITERT = tuple(name for name, quantize in formats.FORMATS.items() if quantize)


@dataclasses.dataclass(frozen=True)
class Laboratory:
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
class Measured:
    """What was measured of a released network.

    Attributes:
        entry: Its entry in the zoo's index.
        model: The network.
        ranks: Ranks of the labels, `(images,)`, by format: 1 where it was right.
        sizes: Bytes of its LiteRT files, by format.
        latencies: Latencies of its LiteRT files, by format; the ratio is to the first
            network that was measured with it.
    """

    entry: dict
    model: keras.Model
    ranks: dict[str, np.ndarray]
    sizes: dict[str, int]
    latencies: dict[str, Latency]

    def correct(self, kind: str = "keras") -> np.ndarray:
        """Returns on which images the network was right, in a format."""
        return self.ranks[kind] == 1

    def columns(self, first: "Measured") -> dict:
        """Returns the columns of every table of results.

        Args:
            first: The network that ratios are to.
        """
        macs = self.entry["macs"]
        row = {
            "network": released_name(self.entry),
            "weights": self.entry["weights"],
            "groups": " ".join(map(str, self.entry["groups"])),
            "macs": macs,
            "macs_ratio": round(macs / first.entry["macs"], 4),
            "params": self.entry["params"],
            "images": len(self.ranks["keras"]),
        }
        for kind, ranks in self.ranks.items():
            row[f"{kind}_top1"] = accuracy.score(ranks).top1
        for kind, latency in self.latencies.items():
            row[f"{kind}_bytes"] = self.sizes[kind]
            row[f"{kind}_ms"] = round(latency.median_ms, 4)
            row[f"{kind}_ratio"] = round(latency.ratio, 4)
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


def measure(entries: Sequence[dict], laboratory: Laboratory) -> list[Measured]:
    """Measures released networks, their latencies in turns.

    Args:
        entries: Their entries in the zoo's index.
        laboratory: Where and how.

    Raises:
        ValueError: A released file is damaged.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    models, ranks, exported = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, entry in enumerate(entries):
            model = create_model(released_name(entry), weights=entry["weights"])
            own = Path(folder, str(number))
            own.mkdir()
            paths = formats.export(model, laboratory.dataset, own)
            found = formats.rank_labels(
                model, paths, laboratory.dataset, threads=laboratory.threads
            )
            models.append(model)
            ranks.append(found)
            exported.append({kind: paths[kind] for kind in LITERT})
            laboratory.say(
                f"{model.name}, {entry['weights']}: "
                + ", ".join(
                    f"{kind} {accuracy.score(each).top1:.2%}"
                    for kind, each in found.items()
                )
            )
        latencies = {
            kind: benchmarking.compare(
                {str(number): paths[kind] for number, paths in enumerate(exported)},
                runs=laboratory.runs,
            )
            for kind in LITERT
        }
        sizes = [
            {kind: utils.file_size(path) for kind, path in paths.items()}
            for paths in exported
        ]
    return [
        Measured(
            entry,
            model,
            found,
            size,
            {kind: measured[number] for kind, measured in latencies.items()},
        )
        for number, (entry, model, found, size) in enumerate(
            zip(entries, models, ranks, sizes, strict=True)
        )
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
    laboratory: Laboratory,
    path: Path,
    title: str,
    rows: Sequence[dict],
    shown: Mapping[str, str],
    short: Callable[[dict], dict[str, str]],
) -> list[Path]:
    """Writes a table of results, whole and in short, and says it.

    Args:
        laboratory: Who says it.
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
    laboratory.say(f"\n{title}\n\n{format_rows(rows, shown, left=2)}\n")
    return [path, path.with_suffix(".md")]


def where() -> dict[str, str]:
    """Returns the columns that say where and when a table was measured."""
    return {
        "processor": benchmarking.processor(),
        "versions": benchmarking.versions(),
        "date": datetime.date.today().isoformat(),
    }
