r"""Exports a network to a LiteRT file or a SavedModel, and checks what it wrote.

Examples:
  keras-roots-export --from=runs/digits-root8/model.keras --output=root8.tflite
  keras-roots-export --model=root_nin --root=8 --weights=cifar10 --quantize=int8 \
      --dataset=cifar10 --output=root8-int8.tflite
  keras-roots-export --model=root_nin --root=8 --weights=cifar10 \
      --format=saved_model --output=root8

The file takes its place only after it was loaded back and agreed with the Keras model.
Calibration images for int8 come from --dataset, which also serves the comparison; for
other exports that compares on random pixels unless --dataset is given.
"""

from collections.abc import Sequence

import keras
import numpy as np
from absl import flags

import keras_roots
from keras_roots import models
from keras_roots.export import (
    IO,
    MOST_IMAGES,
    REWRITES,
    TARGETS,
    ExportReport,
    image_shape,
)
from keras_roots.layers import LOWERINGS
from keras_roots.training import data, networks
from keras_roots.training.commands import flags as shared

FORMATS = ("tflite", "saved_model")
QUANTIZE = {"none": None, "float16": "float16", "dynamic": "dynamic", "int8": "int8"}
_SHARED_FLAGS = (
    "from",
    "model",
    "root",
    "topology",
    "weights",
    "image_size",
    "dataset",
    "data_dir",
)


def export(
    model: keras.Model,
    output: str,
    output_format: str = "tflite",
    *,
    quantize: str | None = None,
    samples: np.ndarray | None = None,
    io: str = "float",
    optimize: Sequence[str] = (),
    target: str = "avx512",
    cost_table: str | None = None,
    lowering: str = "auto",
    min_agreement: float | None = None,
) -> ExportReport:
    """Exports a model in one of the formats.

    Args:
        model: The model.
        output: File or folder to write.
        output_format: One of `FORMATS`.
        quantize: As for `export_tflite`.
        samples: Images to calibrate with and to check on.
        io: As for `export_tflite`.
        optimize: As for `export_tflite`.
        target: As for `export_tflite`.
        cost_table: As for `export_tflite`.
        lowering: As for `export_saved_model`.
        min_agreement: As for `export_tflite`.

    Returns:
        The export's report.

    Raises:
        ValueError: An argument does not fit the format, or as the exports raise.
    """
    if output_format == "tflite":
        if lowering != "auto":
            raise ValueError(
                "--lowering is for --format=saved_model: a LiteRT file always holds "
                f"grouped convolutions. Received: --lowering={lowering}"
            )
        return keras_roots.export_tflite(
            model,
            output,
            quantize,
            samples,
            io=io,
            optimize=optimize,
            target=target,
            cost_table=cost_table,
            min_agreement=min_agreement,
        )
    for flag, value in (
        ("quantize", quantize),
        ("io", io != "float"),
        ("optimize", optimize),
        ("target", target != "avx512"),
        ("cost_table", cost_table),
        ("min_agreement", min_agreement is not None),
    ):
        if value:
            raise ValueError(
                f"--{flag} is for --format=tflite. Received: --format={output_format}"
            )
    return keras_roots.export_saved_model(model, output, lowering, check_data=samples)


def sample_images(
    model: keras.Model, dataset: str, data_dir: str | None, count: int
) -> np.ndarray:
    """Returns images of a data set in the size that a model takes.

    Raises:
        ValueError: The model takes no square images, or the data set is unusable.
    """
    shape = image_shape(model)
    sides = shape[:-1] if models.channel_axis() == -1 else shape[1:]
    if sides[0] != sides[1]:
        raise ValueError(
            "--dataset serves models of square images: export from Python with your "
            f"own `calibration_data`. Received: a model of images {shape}"
        )
    samples = data.sample_images(dataset, count, data_dir=data_dir, image_size=sides[0])
    return samples if models.channel_axis() == -1 else np.moveaxis(samples, -1, 1)


def main(argv) -> None:
    """Exports as the flags say and prints the report."""
    del argv
    values = shared.FLAGS
    if not values.output:
        raise ValueError("--output must be given: the file or folder to write")
    if values["from"].value and (values.weights or values["model"].present):
        raise ValueError("Give --from, or --model with --weights, not both")
    quantize = QUANTIZE[values.quantize]
    model = networks.Start(
        path=values["from"].value,
        model=values.model,
        root=values.root,
        topology=values.topology,
        weights=values.weights,
        image_size=values.image_size,
    ).build(values.classes)
    samples = None
    if quantize == "int8" or values["dataset"].present:
        samples = sample_images(
            model, values.dataset, values.data_dir, values.calibration_images
        )
    report = export(
        model,
        values.output,
        values.format,
        quantize=quantize,
        samples=samples,
        io=values.io,
        optimize=values.optimize,
        target=values.target,
        cost_table=values.cost_table,
        lowering=values.lowering,
        min_agreement=values.min_agreement,
    )
    print(report)
    if not values["from"].value and not values.weights:
        print("note: no --weights were given, so that the network is untrained")


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    own = (
        flags.DEFINE_string("output", None, "File or folder to write."),
        flags.DEFINE_enum("format", "tflite", FORMATS, "LiteRT file or SavedModel."),
        flags.DEFINE_enum(
            "quantize",
            "none",
            list(QUANTIZE),
            "none: float32; float16: weights; dynamic: int8 weights; int8: weights and "
            "activations.",
        ),
        flags.DEFINE_integer(
            "calibration_images",
            200,
            f"Images of --dataset's training split, {MOST_IMAGES} at most.",
            lower_bound=1,
            upper_bound=MOST_IMAGES,
        ),
        flags.DEFINE_enum(
            "io", "float", IO, "Input and output of an int8 LiteRT file."
        ),
        flags.DEFINE_list(
            "optimize",
            [],
            "Rewrites that keep the outputs up to rounding: latency for those that "
            f"make the network faster, or some of {','.join(REWRITES)}.",
        ),
        flags.DEFINE_enum(
            "target", "avx512", list(TARGETS), "Processor to optimise for."
        ),
        flags.DEFINE_string(
            "cost_table",
            None,
            "For pack_groups: a table measured on the processor by "
            "keras-roots-benchmark --cost_table=FILE.",
        ),
        flags.DEFINE_enum(
            "lowering",
            "auto",
            LOWERINGS,
            "Filter groups of a SavedModel: by TensorFlow's grouped convolution "
            "(native), one by one (split), or as the host can when it loads it (auto).",
        ),
        flags.DEFINE_float(
            "min_agreement",
            None,
            "Fail unless the file names the model's top-1 class for this part of the "
            "images.",
            lower_bound=0,
            upper_bound=1,
        ),
        flags.DEFINE_integer(
            "classes", None, "Classes of the model to build.", lower_bound=1
        ),
    )
    return (*_SHARED_FLAGS, *(flag.name for flag in own))


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())
