r"""Exports a network to a LiteRT file or a SavedModel, and checks what it wrote.

Examples:
  keras-roots-export --from=runs/digits-root8/model.keras --output=root8.tflite
  keras-roots-export --model=root_nin --root=8 --weights=cifar10 --quantize=int8 \
      --dataset=cifar10 --output=root8-int8.tflite
  keras-roots-export --model=root_nin --root=8 --weights=cifar10 \
      --format=saved_model --output=root8

The file takes its place only after it was loaded back and agreed with the Keras model.
Calibration images for int8 come from --dataset, or from the data set of the run that
--from is a file of, or of the released --weights. They also serve the comparison; other
exports compare on random pixels unless --dataset is given.
"""

import dataclasses

import keras
import numpy as np

import keras_roots
from keras_roots import models
from keras_roots.convolutions import MOST_SAMPLES
from keras_roots.export import (
    HOST,
    IO,
    REWRITES,
    TARGETS,
    ExportReport,
    image_shape,
)
from keras_roots.layers import LOWERINGS
from keras_roots.training import data, runs
from keras_roots.training.commands import flags
from keras_roots.training.data import Location
from keras_roots.training.networks import Start
from keras_roots.training.options import limits_of, option, options

_QUANTIZE = {"none": None, "float16": "float16", "dynamic": "dynamic", "int8": "int8"}
_SAVED_MODEL = ("output", "format", "lowering", "tolerance")
_SAVED_MODEL += ("calibration_images", "classes")


@options
class Images(Location):
    """Where images to calibrate with and to compare on come from."""

    dataset: str | None = option(
        None,
        "Data set of the images, as for keras-roots-train. By default, for int8, that "
        "of the run in whose folder --from lies, or of the released --weights.",
    )

    def of(self, start: Start) -> "Images":
        """Returns where images for int8 come from.

        Args:
            start: The network.

        Raises:
            ValueError: Nothing tells.
        """
        if self.dataset is not None:
            return self
        known = None
        if start.path:
            known = runs.data_set_of(start.path)
        elif released := start.released():
            known = released["dataset"]
        if known is None:
            raise ValueError(
                "--dataset must be given with --quantize=int8: images of the kind that "
                "the network is made for. Received: "
                + (f"--from={start.path}, which is no run's" if start.path else "none")
            )
        return dataclasses.replace(self, dataset=known)


@options
class Export:
    """What is written, and how."""

    output: str | None = option(None, "File or folder to write.")
    format: str = option(
        "tflite", "LiteRT file or SavedModel.", choices=("tflite", "saved_model")
    )
    quantize: str | None = option(
        None,
        "none: float32; float16: weights; dynamic: int8 weights; int8: weights and "
        "activations.",
        choices=tuple(filter(None, _QUANTIZE.values())),
        parse=lambda text: _QUANTIZE.get(text, text),
    )
    calibration_images: int = option(
        200,
        f"Images of --dataset's training split, {MOST_SAMPLES} at most.",
        least=1,
        most=MOST_SAMPLES,
    )
    io: str = option("float", "Input and output of an int8 LiteRT file.", choices=IO)
    optimize: tuple[str, ...] = option(
        (),
        "Rewrites that keep the outputs up to rounding: latency for those that make "
        f"the network faster, or some of {','.join(REWRITES)}.",
    )
    target: str = option(
        HOST,
        "Instruction set to optimise for: host, this machine's, or that of another one "
        "that the file will run on.",
        choices=(HOST, *TARGETS),
    )
    latency_table: str | None = option(
        None, "For pack_groups: a table of times measured on the processor."
    )
    lowering: str = option(
        "auto",
        "Filter groups of a SavedModel: by TensorFlow's grouped convolution (native), "
        "one by one (split), or as the host can when it loads it (auto).",
        choices=LOWERINGS,
    )
    tolerance: float | None = option(
        None,
        "Fail if an output differs from the model's by more than this part of its "
        "range; by default 0.001, with float16 0.01, with int8 weights none.",
        least=0,
    )
    max_error: float | None = option(
        None,
        "Fail if an output's squared error is more than this part of its squares; by "
        "default, with int8 weights, 0.9, with a warning from 0.05 on.",
        least=0,
    )
    min_agreement: float | None = option(
        None,
        "Fail unless the file names the model's top-1 class for this part of the "
        "images.",
        least=0,
        most=1,
    )
    classes: int | None = option(None, "Classes of the model to build.", least=1)

    def check(self) -> None:
        """Checks that the options fit the format.

        Raises:
            ValueError: One has no effect, or nothing is to be written.
        """
        if not self.output:
            raise ValueError("--output must be given: the file or folder to write")
        foreign = [
            field.name
            for field in limits_of(Export)
            if field.name not in _SAVED_MODEL
            and getattr(self, field.name) != field.default
        ]
        if self.format == "saved_model" and foreign:
            raise ValueError(
                f"--{foreign[0]} is for --format=tflite. "
                f"Received: --format={self.format}"
            )
        if self.format == "tflite" and self.lowering != "auto":
            raise ValueError(
                "--lowering is for --format=saved_model: a LiteRT file always holds "
                f"grouped convolutions. Received: --lowering={self.lowering}"
            )


def export(
    model: keras.Model, chosen: Export, samples: np.ndarray | None = None
) -> ExportReport:
    """Exports a model in one of the formats.

    Args:
        model: The model.
        chosen: What to write, and how.
        samples: Images to calibrate with and to check on.

    Returns:
        The export's report.

    Raises:
        ValueError: As the exports raise.
    """
    if chosen.format == "saved_model":
        return keras_roots.export_saved_model(
            model,
            chosen.output,
            chosen.lowering,
            check_data=samples,
            tolerance=chosen.tolerance,
        )
    return keras_roots.export_tflite(
        model,
        chosen.output,
        chosen.quantize,
        samples,
        io=chosen.io,
        optimize=chosen.optimize,
        target=chosen.target,
        latency_table=chosen.latency_table,
        tolerance=chosen.tolerance,
        max_error=chosen.max_error,
        min_agreement=chosen.min_agreement,
    )


def sample_images(model: keras.Model, location: Images, count: int) -> np.ndarray:
    """Returns images of a data set in the size that a model takes.

    Raises:
        ValueError: The model takes no square images, or the data set is unusable.
    """
    if len(model.inputs) > 1:
        raise ValueError(
            "--dataset serves models of one input: export from Python, with your own "
            f"`calibration_data` for each. Received: a model of {len(model.inputs)}"
        )
    shape = image_shape(model)
    sides = shape[:-1] if models.channel_axis() == -1 else shape[1:]
    if sides[0] != sides[1]:
        raise ValueError(
            "--dataset serves models of square images: export from Python with your "
            f"own `calibration_data`. Received: a model of images {shape}"
        )
    samples = data.sample_images(
        location.dataset, count, data_dir=location.data_dir, image_size=sides[0]
    )
    return samples if models.channel_axis() == -1 else np.moveaxis(samples, -1, 1)


def main(given) -> None:
    """Exports as the flags say and prints the report."""
    chosen, start = given[Export], given[Start]
    chosen.check()
    if start.path and (start.weights or given.present("model")):
        raise ValueError("Give --from, or --model with --weights, not both")
    location = given[Images]
    if chosen.quantize == "int8":
        location = location.of(start)
    model = start.build(chosen.classes)
    samples = None
    if location.dataset is not None:
        samples = sample_images(model, location, chosen.calibration_images)
    print(export(model, chosen, samples))
    if not start.path and not start.weights:
        print("note: no --weights were given, so that the network is untrained")


run = flags.command(main, __doc__, Export, Start, Images)
