r"""Measures speed: networks and files side by side, in turns.

Examples:
  keras-roots-benchmark --models=root_nin:1,root_nin:8 --quantize=none,int8
  keras-roots-benchmark --files=dense.tflite,root8.tflite --threads=1,2 --csv=times.csv
  keras-roots-benchmark --models=root_resnet50:1,root_resnet50:64 \
      --runtime=litert,onnxruntime,openvino --memory
  keras-roots-benchmark --models=keras.applications.VGG16 --decompose=0.5
  keras-roots-benchmark --models=keras.applications.MobileNetV3Small --image_size=96
  keras-roots-benchmark --measure=training --models=root_nin:1,root_nin:8
  keras-roots-benchmark --measure=training --models=root_nin:8 --dataset=cifar10
  keras-roots-benchmark --profile --models=root_nin:1,root_nin:8 --csv=operations.csv

Networks of --models are untrained: that makes no difference to their speed.
--decompose measures each also with its convolutions decomposed to that part of its
multiply-adds (keras_roots.decompose).
--measure=training gives images per second of training steps on one batch, of networks
with filter groups also as keras.layers.Conv2D computes them. With --dataset (one, or
one per network) it trains by the networks' recipes for that, also on its augmented
batches, and makes those alone too, which shows whether the input keeps up.
--profile gives the time of each operation of --models and --files on LiteRT, in place.
"""

import contextlib
import re
import sys

import keras

import keras_roots
from keras_roots import benchmarking, export, utils
from keras_roots.training import data, networks, reports
from keras_roots.training.commands import flags
from keras_roots.training.options import option, options
from keras_roots.training.trainer import PRECISIONS

_QUANTIZE = {name or "none": name for name in export.QUANTIZATIONS}
_OPTIMIZE = ("none", *export.REWRITE_CHOICES)


def _integers(flag):
    """Returns the parser of a flag of one or more positive integers."""

    def parse(text):
        if not re.fullmatch("0*[1-9][0-9]*(,0*[1-9][0-9]*)*", text):
            raise ValueError(
                f"--{flag} must be positive integers, separated by commas. "
                f"Received: {text!r}"
            )
        return tuple(map(int, text.split(",")))

    return parse


@options
class Targets:
    """What is measured."""

    models: tuple[str, ...] = option(
        (),
        "Models to measure, name:root or name:root:topology "
        "(keras_roots.list_models() names them), or keras.applications.NAME.",
    )
    decompose: float | None = option(
        None,
        "Measure --models also decomposed to this part of their multiply-adds.",
        least=0,
        most=1,
    )
    files: tuple[str, ...] = option(
        (), "LiteRT files, Keras files and SavedModels, which are programs that run."
    )
    trust: bool = option(
        False,
        "Run SavedModels even if their operations may write files, use the network or "
        "call other code.",
    )
    image_size: int | None = option(
        None,
        "Height and width of the images, in pixels; by default the model's own. Of "
        "--files those that take images of any size get this one.",
        least=1,
    )

    def build(self) -> list[keras.Model]:
        """Returns the models, each followed by its decomposition if there is one."""
        models = []
        for text in self.models:
            models.append(networks.parse_model(text, self.image_size))
            if self.decompose is not None:
                small = keras_roots.decompose(models[-1], budget=self.decompose)
                small.name = f"{models[-1].name}_decomposed_{self.decompose:g}"
                models.append(small)
        return models


@options
class Ways:
    """How the networks run; each combination is measured."""

    runtime: tuple[str, ...] = option(
        ("litert",),
        f"Runtimes of models and Keras files, among {','.join(benchmarking.RUNTIMES)}; "
        "LiteRT files and SavedModels run on their own.",
        choices=benchmarking.RUNTIMES,
    )
    quantize: tuple[str, ...] = option(
        ("none",),
        f"Quantisations of models and Keras files, among {','.join(_QUANTIZE)}; "
        "onnxruntime and openvino have none and int8, tensorflow and keras none.",
        choices=_QUANTIZE,
    )
    optimize: tuple[str, ...] = option(
        ("none",),
        f"Rewrites for LiteRT, each measured for itself: among {','.join(_OPTIMIZE)}.",
        choices=_OPTIMIZE,
    )
    threads: tuple[int, ...] | None = option(
        None,
        "Numbers of threads; by default 1, for --measure=training TensorFlow's choice.",
        parse=_integers("threads"),
    )
    batch_sizes: tuple[int, ...] | None = option(
        None,
        "Images per call; by default 1, for --measure=training 128 or the recipe's.",
        parse=_integers("batch_sizes"),
    )

    def cases(self, targets: Targets) -> dict[str, benchmarking.Case]:
        """Returns every combination that can be measured.

        Raises:
            ValueError: There is none.
        """
        if not targets.models and not targets.files:
            raise ValueError("Give --models or --files")
        self._report_left_out()
        return benchmarking.make_cases(
            targets.build(),
            targets.files,
            runtimes=self.runtime,
            quantize=[_QUANTIZE[name] for name in self.quantize],
            threads=self.threads or (1,),
            batch_sizes=self.batch_sizes or (1,),
            optimize=[None if name == "none" else name for name in self.optimize],
            image_size=targets.image_size,
            trust=targets.trust,
        )

    def _report_left_out(self):
        """Prints which runtimes lack which quantisation.

        Raises:
            ValueError: All lack all.
        """
        missing = [
            (runtime, name)
            for runtime in self.runtime
            for name in self.quantize
            if _QUANTIZE[name] not in benchmarking.QUANTIZATIONS[runtime]
        ]
        for runtime, name in missing:
            _progress(f"--quantize={name} is left out for --runtime={runtime}")
        if len(missing) == len(self.runtime) * len(self.quantize):
            raise ValueError(
                "--quantize must have a value that one of --runtime has. Received: "
                f"--quantize={','.join(self.quantize)} "
                f"--runtime={','.join(self.runtime)}"
            )


@options
class Measurement:
    """What is measured of the networks."""

    measure: str = option(
        "latency",
        "Latency of networks and files, or training steps of networks.",
        choices=("latency", "training"),
    )
    profile: bool = option(False, "Measure the time of every operation, on LiteRT.")
    memory: bool = option(
        False, "Measure also memory and load time, in a process for each network."
    )
    runs: int = option(50, "Timed calls of each.", least=1)
    warmup: int = option(5, "Calls before them.", least=0)
    csv: str | None = option(None, "File to write the table to as well.")

    def __post_init__(self):
        if self.memory and (self.measure != "latency" or self.profile):
            raise ValueError("--memory is for the latency of --models and --files")
        if self.profile and self.measure != "latency":
            raise ValueError("--profile takes no --measure")


@options
class Training:
    """How --measure=training trains, besides the data set."""

    precision: tuple[str, ...] = option(
        ("float32",),
        f"Arithmetic for --measure=training, among {','.join(PRECISIONS)}.",
        choices=PRECISIONS,
    )


def main(given) -> None:
    """Measures as the flags say, and prints and writes the results."""
    how = given[Measurement]
    with contextlib.ExitStack() as stack:
        csv = how.csv and stack.enter_context(utils.replacing(how.csv))
        measure = _training if how.measure == "training" else _latency
        rows, table = measure(given, how)
        print(table)
        if csv:
            benchmarking.write_csv(rows, csv)


def _latency(given, how):
    """Returns the rows and the table of latencies, or of operations."""
    targets = given[Targets]
    if targets.decompose is not None and not targets.models:
        raise ValueError("--decompose is for the latency of --models")
    cases = given[Ways].cases(targets)
    calls = {"runs": how.runs, "warmup": how.warmup, "progress": _progress}
    if how.profile:
        profiles = benchmarking.profile_cases(cases, **calls)
        rows = [row for profile in profiles for row in profile.rows()]
        return rows, benchmarking.format_profiles(profiles)
    rows = benchmarking.compare(cases, memory=how.memory, **calls)
    return rows, benchmarking.format_latencies(rows)


def _training(given, how):
    """Returns the rows and the table of training steps."""
    targets, ways, training = given[Targets], given[Ways], given[Training]
    source, on_data = given[data.Location], given.present("dataset")
    if targets.decompose is not None:
        raise ValueError("--decompose is for the latency of --models")
    if not targets.models or targets.files:
        raise ValueError("--measure=training takes --models and no --files")
    if ways.threads:
        benchmarking.use_threads(_only(ways.threads, "threads"))
    rows = reports.measure_throughput(
        reports.make_trainees(
            targets.models,
            source.dataset.split(",") if on_data else [],
            precisions=training.precision,
            batch_size=ways.batch_sizes and _only(ways.batch_sizes, "batch_sizes"),
            image_size=targets.image_size,
            data_dir=source.data_dir,
        ),
        stock=not on_data,
        progress=_progress,
    )
    return rows, reports.format_throughputs(rows)


def _only(numbers, flag) -> int:
    if len(numbers) > 1:
        raise ValueError(
            f"--measure=training takes one number of --{flag}. "
            f"Received: {','.join(map(str, numbers))}"
        )
    return numbers[0]


def _progress(line):
    print(line, file=sys.stderr, flush=True)


run = flags.command(main, __doc__, Targets, Ways, Measurement, Training, data.Location)
