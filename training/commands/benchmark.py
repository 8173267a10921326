r"""Measures speed: networks and files side by side, in turns.

Examples:
  keras-roots-benchmark --models=root_nin:1,root_nin:8 --quantize=none,int8
  keras-roots-benchmark --files=dense.tflite,root8.tflite --threads=1,2 --csv=times.csv
  keras-roots-benchmark --models=root_resnet50:1,root_resnet50:64 \
      --runtime=litert,onnxruntime,openvino --memory
  keras-roots-benchmark --models=keras.applications.VGG16 --decompose=0.5
  keras-roots-benchmark --measure=training --models=root_nin:1,root_nin:8
  keras-roots-benchmark --measure=training --models=root_nin:8 --dataset=cifar10
  keras-roots-benchmark --measure=layers
  keras-roots-benchmark --profile --models=root_nin:1,root_nin:8 --csv=operations.csv
  keras-roots-benchmark --cost_table=costs.csv

Networks of --models are untrained: that makes no difference to their speed.
--decompose measures each also with its convolutions decomposed to that part of its
multiply-adds (keras_roots.decompose).
--measure=training gives images per second of training steps on one batch, of networks
with filter groups also as keras.layers.Conv2D computes them. With --dataset (one, or
one per network) it trains by the networks' recipes for that, also on its augmented
batches, and makes those alone too, which shows whether the input keeps up.
--measure=layers times single convolutions in TensorFlow, forward and with gradient: the
native grouped operation, one convolution per group, keras.layers.Conv2D and the dense
layer. --profile tells how long each operation of --models and --files takes on LiteRT,
in place. --cost_table writes the table by which keras-roots-export
--optimize=pack_groups chooses, for this machine.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Sequence

import keras
from absl import flags

import keras_roots
from keras_roots import benchmarking, utils
from keras_roots.benchmarking import QUANTIZATIONS, RUNTIMES, Case
from keras_roots.export import REWRITE_CHOICES
from keras_roots.training import networks
from keras_roots.training.commands import flags as shared
from keras_roots.training.commands import (
    layer_benchmark,
    operation_benchmark,
    throughput,
)
from keras_roots.training.commands.export import QUANTIZE
from keras_roots.training.trainer import PRECISIONS

_SHARED_FLAGS = ("csv", "dataset", "data_dir", "image_size")


def with_decomposed(
    models: Iterable[keras.Model], macs: float | None
) -> list[keras.Model]:
    """Returns models, each followed by its decomposition.

    Args:
        models: Keras models.
        macs: Part of the multiply-adds that a decomposition has; `None` for none.
    """
    if macs is None:
        return list(models)
    every = []
    for model in models:
        small = keras_roots.decompose(model, macs=macs)
        small.name = f"{model.name}_decomposed_{macs:g}"
        every += [model, small]
    return every


def make_cases(
    models: Sequence[keras.Model],
    paths: Sequence[str],
    *,
    runtimes: Sequence[str] = ("litert",),
    quantize: Sequence[str | None] = (None,),
    threads: Sequence[int] = (1,),
    batch_sizes: Sequence[int] = (1,),
    optimize: Sequence[str | None] = (None,),
) -> dict[str, Case]:
    """Returns every combination that can be measured, by a name of its own.

    Models run on every runtime, a `.keras` file too, a `.tflite` file on LiteRT and a
    SavedModel on TensorFlow. Only models and `.keras` files are quantised, where the
    runtime can.

    Args:
        models: Keras models.
        paths: Paths of files.
        runtimes: Runtimes of models and `.keras` files.
        quantize: Quantisations of models and `.keras` files; a runtime leaves out what
            it does not know.
        threads: Numbers of threads.
        batch_sizes: Numbers of images per call.
        optimize: Rewrites of models and `.keras` files on LiteRT, one for each case.
    """
    targets = [(model.name, model) for model in models]
    targets += [(os.path.basename(os.path.normpath(path)), path) for path in paths]
    cases = [
        Case(target, threads=count, batch_size=size, label=label, **how)
        for label, target in targets
        for how in _ways(target, runtimes, quantize, optimize)
        for count in threads
        for size in batch_sizes
    ]
    return {str(index): case for index, case in enumerate(cases)}


def main(argv) -> None:
    """Measures as the flags say, and prints and writes the results."""
    del argv
    values = shared.FLAGS
    threads = _counts("threads", values.threads)
    batch_sizes = _counts("batch_sizes", values.batch_sizes)
    if values.decompose and (values.measure != "latency" or not values.models):
        raise ValueError("--decompose is for the latency of --models")
    if values.memory and (values.measure != "latency" or values.profile):
        raise ValueError("--memory is for the latency of --models and --files")
    if values.profile and values.measure != "latency":
        raise ValueError("--profile takes no --measure")
    if values.cost_table:
        with utils.replacing(values.cost_table) as temporary:
            table = layer_benchmark.measure_costs(progress=_progress)
            with open(temporary, "w") as file:
                file.write(table)
        return
    with contextlib.ExitStack() as stack:
        csv = values.csv and stack.enter_context(utils.replacing(values.csv))
        measure = _profile if values.profile else _MEASURES[values.measure]
        rows, table = measure(values, threads, batch_sizes)
        print(table)
        if csv:
            benchmarking.write_csv(rows, csv)


def define_flags() -> tuple[str, ...]:
    """Defines the binary's flags and returns their names."""
    shared.define(*_SHARED_FLAGS)
    own = (
        flags.DEFINE_list(
            "models",
            [],
            "Models to measure, name:root or name:root:topology "
            "(keras_roots.list_models() names them), or keras.applications.NAME.",
        ),
        flags.DEFINE_float(
            "decompose",
            None,
            "Measure --models also decomposed to this part of their multiply-adds.",
            lower_bound=0,
            upper_bound=1,
        ),
        flags.DEFINE_list("files", [], "LiteRT files, Keras files and SavedModels."),
        flags.DEFINE_list(
            "runtime",
            ["litert"],
            f"Runtimes of models and Keras files, among {','.join(RUNTIMES)}; LiteRT "
            "files and SavedModels run on their own.",
        ),
        flags.DEFINE_list(
            "quantize",
            ["none"],
            f"Quantisations of models and Keras files, among {','.join(QUANTIZE)}; "
            "onnxruntime and openvino know none and int8, tensorflow and keras none.",
        ),
        flags.DEFINE_list(
            "optimize",
            ["none"],
            "Rewrites for LiteRT, each measured for itself: among none,"
            f"{','.join(REWRITE_CHOICES)}.",
        ),
        flags.DEFINE_list("threads", ["1"], "Numbers of threads."),
        flags.DEFINE_list(
            "batch_sizes",
            ["1"],
            "Images per call; by default 128 for --measure=training, 8 for layers.",
        ),
        flags.DEFINE_integer("runs", 50, "Timed calls of each.", lower_bound=1),
        flags.DEFINE_integer("warmup", 5, "Calls before them.", lower_bound=0),
        flags.DEFINE_enum(
            "measure",
            "latency",
            list(_MEASURES),
            "Latency of networks and files, training steps of networks, or times of "
            "single convolutions.",
        ),
        flags.DEFINE_bool(
            "memory",
            False,
            "Measure also memory and load time, in a process for each network.",
        ),
        flags.DEFINE_bool(
            "profile", False, "Tell the time of every operation, on LiteRT."
        ),
        flags.DEFINE_list(
            "precision",
            ["float32"],
            f"Arithmetic for --measure=training, among {','.join(PRECISIONS)}.",
        ),
        flags.DEFINE_string(
            "cost_table", None, "File to write the cost table of this machine to."
        ),
    )
    return (*_SHARED_FLAGS, *(flag.name for flag in own))


def run() -> None:
    """Runs the binary."""
    shared.launch(main, __doc__, define_flags())


def _latency(values, threads, batch_sizes):
    rows = benchmarking.compare(
        _cases(values, threads, batch_sizes),
        warmup=values.warmup,
        runs=values.runs,
        memory=values.memory,
        progress=_progress,
    )
    return rows, benchmarking.latency_rows(rows)


def _profile(values, threads, batch_sizes):
    profiled = operation_benchmark.profile_cases(
        _cases(values, threads, batch_sizes),
        warmup=values.warmup,
        runs=values.runs,
        progress=_progress,
    )
    return operation_benchmark.rows(profiled), operation_benchmark.table(profiled)


def _training(values, threads, batch_sizes):
    if not values.models or values.files:
        raise ValueError("--measure=training takes --models and no --files")
    if values["threads"].present:
        layer_benchmark.use_threads(_only(threads, "threads"))
    batch_size = _only(batch_sizes, "batch_sizes")
    rows = throughput.compare(
        throughput.make_cases(
            values.models,
            networks.parse_model,
            values.dataset.split(",") if values["dataset"].present else [],
            precisions=_choices("precision", values.precision, PRECISIONS),
            batch_size=batch_size if values["batch_sizes"].present else None,
            image_size=values.image_size,
            data_dir=values.data_dir,
        ),
        stock=not values["dataset"].present,
        progress=_progress,
    )
    return rows, throughput.table(rows)


def _layers(values, threads, batch_sizes):
    batch_size = _only(batch_sizes, "batch_sizes")
    rows = layer_benchmark.time_layers(
        values.runs,
        batch_size if values["batch_sizes"].present else 8,
        _only(threads, "threads"),
        progress=_progress,
    )
    return rows, layer_benchmark.layer_table(rows)


_MEASURES = {"latency": _latency, "training": _training, "layers": _layers}


def _only(numbers, flag) -> int:
    if len(numbers) > 1:
        raise ValueError(
            f"--measure=training and --measure=layers take one number of --{flag}. "
            f"Received: {','.join(map(str, numbers))}"
        )
    return numbers[0]


def _cases(values, threads, batch_sizes) -> dict[str, Case]:
    if not values.models and not values.files:
        raise ValueError("Give --models, --files, --measure=layers or --cost_table")
    runtimes = _choices("runtime", values.runtime, RUNTIMES)
    quantize = _choices("quantize", values.quantize, QUANTIZE)
    optimize = _choices("optimize", values.optimize, ("none", *REWRITE_CHOICES))
    _tell_left_out(runtimes, quantize)
    return make_cases(
        with_decomposed(map(networks.parse_model, values.models), values.decompose),
        values.files,
        runtimes=runtimes,
        quantize=[QUANTIZE[name] for name in quantize],
        threads=threads,
        batch_sizes=batch_sizes,
        optimize=[None if name == "none" else name for name in optimize],
    )


def _tell_left_out(runtimes, quantize):
    """Tells which runtimes know nothing of which quantisation.

    Raises:
        ValueError: None knows any.
    """
    unknown = [
        (runtime, name)
        for runtime in runtimes
        for name in quantize
        if QUANTIZE[name] not in QUANTIZATIONS[runtime]
    ]
    for runtime, name in unknown:
        _progress(f"--quantize={name} is left out for --runtime={runtime}")
    if len(unknown) == len(runtimes) * len(quantize):
        raise ValueError(
            "--quantize must have a value that one of --runtime knows. "
            f"Received: --quantize={','.join(quantize)} --runtime={','.join(runtimes)}"
        )


def _ways(target, runtimes, quantize, optimize) -> list[dict]:
    """Returns what `Case` needs to know of each way to run a target."""
    converts = isinstance(target, keras.Model) or target.endswith(".keras")
    if not converts:
        return [{"runtime": "tensorflow" if os.path.isdir(target) else "litert"}]
    return [
        {"runtime": runtime, "quantize": kind, "optimize": rewrite}
        for runtime in runtimes
        for kind in quantize
        if kind in QUANTIZATIONS[runtime]
        for rewrite in (optimize if runtime == "litert" else (None,))
    ]


def _choices(flag, values, allowed) -> list[str]:
    if not values or not set(values) <= set(allowed):
        raise ValueError(
            f"--{flag} must be among {','.join(allowed)}, separated by commas. "
            f"Received: {','.join(values)!r}"
        )
    return values


def _counts(flag, values) -> list[int]:
    if not values or not all(re.fullmatch("0*[1-9][0-9]*", value) for value in values):
        raise ValueError(
            f"--{flag} must be positive integers, separated by commas. "
            f"Received: {','.join(values)!r}"
        )
    return [int(value) for value in values]


def _progress(line):
    print(line, file=sys.stderr, flush=True)
