r"""The whole way in a minute: released networks that classify, exported, compared.

Takes Network in Network, dense and with filter groups, with weights trained on CIFAR-10
from the zoo; classifies a few photographs; exports both to LiteRT, as float32 and int8;
and prints one table of accuracy, multiply-adds, parameters, file sizes and measured
latency. Nothing is downloaded.

  keras-roots-quickstart --output_dir=quickstart
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

import keras_roots
from keras_roots.models import (
    CIFAR10_CLASSES,
    NetworkName,
    create_model,
    decode_predictions,
    released_entry,
)
from keras_roots.training import data, evaluation
from keras_roots.training.commands import flags
from keras_roots.training.options import option, options
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


@options
class Comparison:
    """What is compared, and where its files lie."""

    output_dir: str = option("quickstart", "Folder for everything this run writes.")
    models: tuple[str, ...] = option(
        MODELS,
        "Networks to compare: names in keras_roots.list_models(weights='cifar10').",
    )


def quickstart(
    output_dir: str | os.PathLike, names: Sequence[str] = MODELS, runs: int = 100
) -> str:
    """Classifies photographs, exports and measures networks, and returns the tables.

    Args:
        output_dir: Folder for the LiteRT files; made if it is not there.
        names: Networks of the family Network in Network that are released with the
            weights `"cifar10"`; others are compared with the first.
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
    formats = evaluation.LITERT_FORMATS
    files = {
        name: evaluation.export_formats(model, sample, output_dir, formats)
        for name, model in models.items()
    }
    print("Measuring latency, one thread, one image, the files in turns")
    found = evaluation.measure(files, sample, runs=runs, against="format")
    rows = [
        _network(name, model, form)
        | {"file": files[name][form].name, "sample_top1": found[name][form].score.top1}
        | found[name][form].columns("bytes", "ms", "ratio")
        for form in formats
        for name, model in models.items()
    ]
    note = (
        f"top-1 on the {sample.test.count} images of the sample, and as released on "
        f"10,000; median ms of {runs} calls; {found[names[0]][formats[0]].processor}"
    )
    photographs = _photographs(models, sample.test)
    return "\n".join([photographs, "", format_rows(rows, _COLUMNS, left=2), note])


def _photographs(models: Mapping[str, keras.Model], images: data.Arrays) -> str:
    """A table of the classes that the networks give a few images."""
    chosen = np.linspace(0, images.count - 1, PHOTOGRAPHS).astype(int)
    columns = [[CIFAR10_CLASSES[images.labels[i]] for i in chosen]]
    for model in models.values():
        scores = model.predict(images.images[chosen].astype("float32"), verbose=0)
        best = decode_predictions(scores, "cifar10", top=1)
        columns.append([f"{name} {score:.0%}" for ((_, name, score),) in best])
    header = ["photograph of", *models]
    return format_table(header, list(zip(*columns, strict=True)), left=len(header))


def _network(name, model, form) -> dict:
    """The columns of a network, with the accuracy that its release states."""
    profile = keras_roots.profile(model)
    entry = released_entry(NetworkName.parse(name), WEIGHTS)
    return {
        "network": name,
        "macs": profile.macs,
        "params": profile.params,
        "released_top1": entry["top1"][form],
    }


def main(given) -> None:
    """Runs the quickstart as the flags say."""
    chosen = given[Comparison]
    print(quickstart(chosen.output_dir, chosen.models))


run = flags.command(main, __doc__, Comparison)
