r"""The whole way in a minute: released networks that classify, exported, compared.

Takes Network in Network, dense and with filter groups, with weights trained on CIFAR-10
from the zoo; classifies a few photographs; exports both to LiteRT, as float32 and int8;
and prints one table of accuracy, multiply-adds, parameters, file sizes and measured
latency. Nothing is downloaded.

  keras-roots-quickstart --output_dir=quickstart
"""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from absl import flags

import keras_roots
from keras_roots import benchmarking
from keras_roots.models import (
    CIFAR10_CLASSES,
    create_model,
    decode_predictions,
    groups_in_name,
    parse_name,
    released_entry,
)
from keras_roots.training import data, evaluation
from keras_roots.training.commands import flags as shared
from keras_roots.utils import format_rows, format_table

MODELS = ("root_nin:1", "root_nin:8")
WEIGHTS = "cifar10"
SAMPLE = "cifar10-sample"
PHOTOGRAPHS = 6  # that are classified one by one
_COLUMNS = {
    "network": "{}",
    "file": "{}",
    "sample_top1": "{:.1%}",
    "released_top1": "{:.2%}",
    "macs": "{:,}",
    "params": "{:,}",
    "bytes": "{:,}",
    "ms": "{:.2f}",
    "ratio": "{:.2f}",
}


def quickstart(
    output_dir: str | os.PathLike, names: Sequence[str] = MODELS, runs: int = 100
) -> str:
    """Goes the whole way and returns its tables.

    Args:
        output_dir: Folder for the LiteRT files; made if it is not there.
        names: Networks of the family Network in Network that are released with the
            weights `"cifar10"`; the first is what others are held against.
        runs: Timed calls of each file.

    Raises:
        ValueError: A network is not released.
        OSError: The folder cannot be written.
        ImportError: TensorFlow or LiteRT is not installed.
    """
    sample = data.open_dataset(SAMPLE)
    models = {name: create_model(name, weights=WEIGHTS) for name in names}
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    print(f"Exporting {', '.join(names)} to {os.fspath(output_dir)}")
    files = {
        name: evaluation.export_formats(model, sample, output_dir)
        for name, model in models.items()
    }
    print("Measuring latency, one thread, one image, the files in turns")
    rows = []
    for kind in evaluation.FORMATS:
        paths = {name: files[name][kind] for name in names if files[name][kind]}
        latencies = benchmarking.compare(paths, runs=runs) if paths else []
        for (name, path), latency in zip(paths.items(), latencies, strict=True):
            ranks = evaluation.rank_labels(models[name], {kind: path}, sample)[kind]
            rows.append(
                _network(name, models[name], kind)
                | {
                    "file": path.name,
                    "sample_top1": evaluation.score(ranks).top1,
                    "bytes": path.stat().st_size,
                    "ms": latency.median_ms,
                    "ratio": latency.ratio,
                }
            )
    note = (
        f"top-1 on the {sample.test.count} images of the sample, and as released on "
        f"10,000; median ms of {latency.runs} calls; {latency.processor}"
    )
    photographs = _photographs(models, sample.test)
    return "\n".join([photographs, "", format_rows(rows, _COLUMNS, left=2), note])


def _photographs(models: dict[str, keras.Model], images: data.Arrays) -> str:
    """What the networks say of a few images, with their probabilities."""
    chosen = np.linspace(0, images.count - 1, PHOTOGRAPHS).astype(int)
    columns = [[CIFAR10_CLASSES[images.labels[i]] for i in chosen]]
    for model in models.values():
        scores = model.predict(images.images[chosen].astype("float32"), verbose=0)
        best = decode_predictions(scores, "cifar10", top=1)
        columns.append([f"{name} {score:.0%}" for ((_, name, score),) in best])
    header = ["photograph of", *models]
    return format_table(header, list(zip(*columns, strict=True)), left=len(header))


def _network(name, model, kind) -> dict:
    """The columns of a network, with what its entry in the index says."""
    profile = keras_roots.profile(model)
    model_name, _ = parse_name(name)
    entry = released_entry(model_name, groups_in_name(name), WEIGHTS)
    return {
        "network": name,
        "macs": profile.macs,
        "params": profile.params,
        "released_top1": entry["top1"][kind],
    }


def main(argv) -> None:
    """Runs the quickstart as the flags say."""
    del argv
    values = shared.FLAGS
    print(quickstart(values.output_dir or "quickstart", values.models))


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define("output_dir")
    flags.DEFINE_list(
        "models",
        list(MODELS),
        "Networks to compare: names in keras_roots.list_models(weights='cifar10').",
    )
    return ("output_dir", "models")


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())
