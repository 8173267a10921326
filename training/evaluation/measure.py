"""Networks in one or more formats, measured side by side: accuracy, bytes, latency."""

import dataclasses
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from keras_roots import benchmarking, utils
from keras_roots.training import data
from keras_roots.training.evaluation import accuracy
from keras_roots.training.evaluation.formats import FORMATS, LITERT_FORMATS, export
from keras_roots.utils import checks

Network = keras.Model | Mapping[str, keras.Model | str | os.PathLike]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of a network in one format.

    Attributes:
        network: Its name.
        format: The format's name.
        ranks: How many classes score as high as each image's label, `(images,)`: 1
            where the network is right.
        bytes: Size of its file; `None` for a Keras model.
        zlib_bytes: That compressed by zlib at its highest level.
        ms: Median time of one image, in milliseconds; `None` if not measured.
        ratio: Time over that of the first file of the comparison, measured in turns:
            median of the rounds' ratios.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    network: str
    format: str
    ranks: np.ndarray
    bytes: int | None = None
    zlib_bytes: int | None = None
    ms: float | None = None
    ratio: float | None = None
    processor: str = dataclasses.field(default_factory=benchmarking.processor)
    versions: str = dataclasses.field(default_factory=benchmarking.versions)

    @property
    def score(self) -> accuracy.Score:
        """Top-1 and top-5 accuracy, and the number of images."""
        return accuracy.score(self.ranks)

    @property
    def correct(self) -> np.ndarray:
        """On which images the network is right, `(images,)`."""
        return self.ranks == 1

    def columns(self, *names: str) -> dict:
        """Returns columns of a table, times and errors rounded as tables hold them.

        Args:
            *names: Of `network`, `format`, `top1`, `top5`, `error` (1 - top1),
                `images`, `bytes`, `zlib_bytes`, `ms`, `ratio`, `processor` and
                `versions`.
        """
        score = self.score
        values = {
            **vars(self),
            **dataclasses.asdict(score),
            "error": round(1 - score.top1, 4),
            "ms": self.ms and round(self.ms, 4),
            "ratio": self.ratio and round(self.ratio, 4),
        }
        return {name: values[name] for name in names}


def measure(
    networks: Mapping[str, Network],
    dataset: data.Dataset,
    formats: Sequence[str] = FORMATS,
    *,
    split: str = "test",
    batch_size: int = 100,
    threads: int = 1,
    runs: int = 200,
    timed_threads: int = 1,
    against: str = "first",
    trust: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Measured]]:
    """Measures networks, each in one or more formats.

    Args:
        networks: Networks by name. A Keras model is exported in `formats`, as networks
            are released. A mapping gives the formats itself, of any names: a Keras
            model, or a file as `load_predictor` reads it.
        dataset: The data set; training images calibrate int8 files.
        formats: Names of `FORMATS`, for networks that are Keras models.
        split: Images that give the accuracy: `"test"`, `"train"` or `"evaluation"`.
        batch_size: Images per call, for the accuracy.
        threads: Threads of LiteRT files, for the accuracy.
        runs: Timed calls of each LiteRT file, at least; 0 measures no times.
        timed_threads: Threads of LiteRT files, for the times.
        against: What `ratio` compares with: `"first"` for the first file of all, which
            are measured in turns; or `"format"` for the first of the same format, which
            are measured in turns format by format.
        trust: As for `load_predictor`.
        say: Called with a line of text after each network.

    Returns:
        What was measured, by network and format.

    Raises:
        ValueError: An argument is impossible, a file does not agree with its network,
            or a network has other classes than the data set.
        ImportError: TensorFlow or LiteRT is not installed.

    Example:
        >>> found = measure({"dense": dense, "root-8": root8}, dataset)
        >>> found["root-8"]["litert_int8"].columns("top1", "bytes", "ms", "ratio")
    """
    checks.choice("against", against, ("first", "format"))
    checks.integer("runs", runs, least=0)
    with tempfile.TemporaryDirectory() as folder:
        targets = {}
        for number, (name, network) in enumerate(networks.items()):
            if isinstance(network, keras.Model):
                own = Path(folder, str(number))
                own.mkdir()
                network = export(network, dataset, own, formats)
            targets |= {(name, form): target for form, target in network.items()}
        found = {name: {} for name in networks}
        for (name, form), target in targets.items():
            ranks = accuracy.rank_labels_on(
                _predictor(target, threads, trust), dataset, split, batch_size
            )
            found[name][form] = Measured(name, form, ranks, **_size(target))
        for name, forms in found.items():
            scores = (f"{form} {each.score.top1:.2%}" for form, each in forms.items())
            say(f"{name}: {', '.join(scores)}")
        if runs:
            for (name, form), latency in _time(targets, runs, timed_threads, against):
                found[name][form] = dataclasses.replace(
                    found[name][form],
                    ms=latency.median_ms,
                    ratio=latency.ratio,
                    processor=latency.processor,
                    versions=latency.versions,
                )
    return found


def measure_files(
    models: Mapping[str, keras.Model], dataset: data.Dataset
) -> dict[str, dict]:
    """Measures the LiteRT files of networks, for a table with one row per network.

    Args:
        models: Networks by name; times are relative to the float32 file of the first.
        dataset: As for `measure`.

    Returns:
        By name, for each of `LITERT_FORMATS`: `FORMAT_error` on the test split,
        `FORMAT_bytes`, `FORMAT_zlib_bytes`, `FORMAT_ms` on one thread and
        `FORMAT_ratio`; and `processor`.

    Raises:
        ValueError: A file does not agree with its network.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    names = ("error", "bytes", "zlib_bytes", "ms", "ratio")
    return {
        network: {
            f"{form}_{column}": value
            for form, measured in files.items()
            for column, value in measured.columns(*names).items()
        }
        | next(iter(files.values())).columns("processor")
        for network, files in measure(models, dataset, LITERT_FORMATS).items()
    }


def _predictor(target, threads, trust) -> accuracy.Predictor:
    if isinstance(target, keras.Model):
        return accuracy.model_predictor(target)
    return accuracy.load_predictor(os.fspath(target), threads, trust)


def _size(target) -> dict[str, int]:
    if isinstance(target, keras.Model) or os.path.isdir(target):
        return {}
    content = Path(target).read_bytes()
    return {
        "bytes": utils.file_size(target),
        "zlib_bytes": len(zlib.compress(content, 9)),
    }


def _time(targets, runs, threads, against):
    """Yields the latency of every LiteRT file by network and format."""
    files = {
        key: benchmarking.Case(os.fspath(target), threads=threads)
        for key, target in targets.items()
        if not isinstance(target, keras.Model) and str(target).endswith(".tflite")
    }
    comparisons = {}
    for key, case in files.items():
        comparison = key[1] if against == "format" else None
        comparisons.setdefault(comparison, {})[key] = case
    for cases in comparisons.values():
        times = benchmarking.compare(
            {" ".join(key): case for key, case in cases.items()}, runs=runs
        )
        yield from zip(cases, times, strict=True)
