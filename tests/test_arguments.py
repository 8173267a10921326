"""Every argument of every public function is refused by its name where it is senseless.

A sweep over the signatures: each argument in turn gets each of `VALUES`, beside valid
ones. What is not welcome must be a ValueError that names the argument, and come before
any long work. So a new argument is covered by itself: a value that it may have after
all is a row of `WELCOME`.
"""

import dataclasses
import functools
import importlib
import inspect

import helpers
import keras
import numpy as np
import pytest
from keras import layers

import keras_roots
from keras_roots import (
    analysis,
    benchmarking,
    compression,
    export,
    lowrank,
    models,
    regularizers,
    sparsity,
)
from keras_roots.benchmarking.cases import check_case
from keras_roots.layers import FixedZeros, GroupedConv2D, LocalResponseNormalization

FACES = ("", "layers", "regularizers", "lowrank", "groups", "export", "benchmarking")
FACES += ("models", "sparsity", "compression", "analysis")

VALUES = {
    "True": True,
    "False": False,
    "None": None,
    "-1": -1,
    "0": 0,
    "1.5": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "1e300": 1e300,
    "text": "x",
    "no text": "",
    "[]": [],
    "()": (),
    "{}": {},
    "int64": np.int64(2),
    "array": np.array(3),
    "object": object(),
    "bytes": b"ab",
}
_COUNT = {"int64"}
_INDEX = {"int64", "0"}
_PATH = {"text"}
_BOOLEAN = {"True", "False"}
_NUMBER = {"1.5", "int64", "-1", "0"}

# What arguments of a name take of these, or of one function where others differ.
WELCOME = {
    "aux_heads": _BOOLEAN,
    "batch_size": _COUNT,
    "carry_over": {"None"},
    "channels": _COUNT,
    "classes": _COUNT,
    "classifier_activation": {"None"},
    "cost": {"None"},
    "delegate": _BOOLEAN,
    "groups": _COUNT,
    "include_preprocessing": _BOOLEAN,
    "include_top": _BOOLEAN,
    "input_shape": {"None"},
    "layers": {"None"},
    "memory": _BOOLEAN,
    "mix": _BOOLEAN,
    "name": {"None", "text"},
    "normalize": _BOOLEAN,
    "path": _PATH,
    "plot_correlation.first": {"text"},
    "plot_correlation.second": {"text"},
    "rank": _COUNT,
    "root": _COUNT,
    "rounds": _COUNT,
    "runs": _COUNT,
    "seed": {*_INDEX, "None"},
    "threads": _COUNT,
    "ForceRegularizer.strength": _NUMBER,
    "GroupLasso.strength": _NUMBER - {"-1"},
    "LiteRTModel.batch_size": {*_COUNT, "None"},
    "LiteRTModel.image_shape": {"None"},
    "list_models.pattern": {"text", "no text"},
    "relative_force.strength": _NUMBER,
    "Case.label": {"None", "text"},
    "LatencyTable.path": {"None", "text"},
    "Planner.rank_multiple": {*_COUNT, "None"},
    "folder": _PATH,
    "write_saved_model.batch_size": {*_COUNT, "None"},
    "count": _COUNT,
    "image_size": {*_COUNT, "None"},
    "make_cases.models": {"[]", "()"},
    "make_cases.paths": {"[]", "()"},
    "plan_rootify.root": {*_COUNT, "array"},  # one integer, if in an array
    "rank_multiple": _COUNT,
    "regularizers": {"[]", "()"},
    "rootify.root": {*_COUNT, "array"},
    "versions.runtimes": {"[]", "()"},
    "FixedZeros.constraint": {"None"},
    "GroupedConv2D.kernel_size": _COUNT,
    "GroupedConv2D.strides": _COUNT,
    "alpha": _NUMBER - {"-1"},
    "filters": _COUNT,
    "prune.sparsity": {"0"},
    "shrinkage": {"0"},
    "stages": _COUNT,
    "threshold": {"0"},
    "top": _COUNT,
    "trust": _BOOLEAN,
    "whiten": _BOOLEAN,
    "default": {"0", "1.5", "int64", "None"},
    "quantized": _BOOLEAN,
    "tolerance": {"0", "1.5", "int64", "None"},
    "max_error": {"0", "1.5", "int64", "None"},
    "min_agreement": {"0", "None"},
    "warmup": _INDEX,
}


def _optional(*names):
    return dict.fromkeys(names, {"None"})


WELCOME["optimize"] = {"None", "[]", "()"}
WELCOME |= _optional("calibration_data", "check_data", "images", "input_tensor")
WELCOME |= _optional("label", "latency_table", "pooling", "quantize")
WELCOME |= _optional("weights", "metric", "finetune", "ranks", "budget", "measure")
WELCOME |= _optional("call", "names", "say")


@functools.cache
def _network():
    """A network with a convolution of each kind, and all that functions need of it."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="first"),
            GroupedConv2D(8, 3, padding="same", groups=2, name="grouped"),
            layers.Conv2D(8, 3, padding="same", name="spatial"),
            layers.BatchNormalization(),
            layers.Conv2D(8, 1, name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="scores"),
        ]
    )
    return helpers.assign_random(model)


@functools.cache
def _content():
    """Content of a LiteRT file."""
    return export.convert(_network())


def _file():
    with open("model.tflite", "wb") as file:
        file.write(_content())
    return "model.tflite"


@functools.cache
def _images():
    return np.random.default_rng(0).normal(size=(20, 8, 8, 4)).astype("float32")


@functools.cache
def _decomposed():
    return lowrank.decompose(_network(), ranks={"spatial": 4})


def _labels():
    return np.arange(20) % 3


def _measured(case):
    check_case(case)


MODEL = {"model": _network}
SAMPLES = {**MODEL, "images": _images}
SMALL = {"input_shape": (32, 32, 3)}
KERNEL = np.random.default_rng(0).normal(size=(3, 3, 4, 8))
SHAPE = {"kernel_shape": (3, 3, 4, 8), "groups": 1}
RIGHT = np.arange(20) % 2 == 0
SCORES = np.random.default_rng(0).uniform(size=(4, 10))
CASES = {
    keras_roots.RootConvNet: SMALL,
    keras_roots.RootGoogLeNet: SMALL,
    keras_roots.create_model: {"name": "root_convnet"},
    keras_roots.list_models: {},
    keras_roots.ForceRegularizer: {"strength": 1.0},
    regularizers.GroupLasso: {"strength": 1.0},
    regularizers.RegularizerSum: {"regularizers": ["l2"]},
    regularizers.paper_layers: {"family": "root_convnet"},
    regularizers.relative_force: {
        **SAMPLES,
        "strength": 1.0,
        "targets": _labels,
        "loss": "sparse_categorical_crossentropy",
        "batch_size": 10,
    },
    keras_roots.with_regularizer: {**MODEL, "regularizer": keras.regularizers.L2},
    keras_roots.without_regularizers: MODEL,
    keras_roots.register_composite: {"layer_class": lambda: type(helpers.Subclassed())},
    keras_roots.profile: MODEL,
    keras_roots.recalibrate: SAMPLES,
    keras_roots.pack_groups: MODEL,
    keras_roots.export_saved_model: {**MODEL, "path": "model"},
    keras_roots.export_tflite: {**MODEL, "path": "model.tflite"},
    export.write_for_timing: {**MODEL, "path": "model.tflite"},
    export.write_saved_model: {**MODEL, "folder": "model", "lowering": "split"},
    export.LiteRTModel: {"file": _content},
    export.read_operations: {"file": _content},
    export.random_images: MODEL,
    export.random_samples: MODEL,
    export.check_limits: {},
    export.compare_outputs: {"exported": [SCORES], "expected": [SCORES]},
    benchmarking.Case: {"target": _network},
    keras_roots.benchmark: {"target": _network},
    benchmarking.compare: {"targets": lambda: {"a": _network()}},
    keras_roots.profile_file: {"file": _file},
    benchmarking.profile_cases: {"targets": lambda: {"a": _network()}},
    benchmarking.make_cases: {"models": lambda: [_network()], "paths": ()},
    benchmarking.LatencyTable: {},
    benchmarking.format_latencies: {"rows": []},
    benchmarking.format_profiles: {"profiles": []},
    benchmarking.write_csv: {"rows": [], "path": "rows.csv"},
    benchmarking.use_threads: {"threads": 1},
    benchmarking.versions: {},
    keras_roots.rank_analysis: MODEL,
    keras_roots.plan_decomposition: MODEL,
    keras_roots.decompose: MODEL,
    keras_roots.shrink: {"model": _decomposed, "error": 0.3},
    lowrank.break_even_rank: SHAPE,
    lowrank.theoretical_speedup: {**SHAPE, "rank": 2},
    keras_roots.plan_rootify: {**MODEL, "root": 2},
    keras_roots.rootify: {**MODEL, "root": 2},
    keras_roots.plan_compression: {**SAMPLES, "budget": 0.9},
    compression.Planner: {**SAMPLES, "cost": "macs"},
    keras_roots.compress: {**SAMPLES, "cost": "macs"},
    sparsity.prune: {**MODEL, "sparsity": 0.5},
    sparsity.dead_filters: MODEL,
    sparsity.remove_dead_filters: MODEL,
    sparsity.sparsity_report: MODEL,
    FixedZeros: {"mask": np.ones((3, 3), "bool")},
    GroupedConv2D: {"filters": 8, "kernel_size": 3},
    LocalResponseNormalization: {"size": 5, "alpha": 1.0},
    models.decode_predictions: {"preds": SCORES, "dataset": "cifar10"},
    models.get_constructor: {"name": "root_nin"},
    models.groups_per_stage: {"root": 2, "stages": 2},
    analysis.block_structure: {"correlation": np.eye(4), "groups": 2},
    analysis.compare_paired: {"first": RIGHT, "second": ~RIGHT},
    analysis.filter_correlation: {
        **MODEL,
        **{"first": "first", "second": "spatial"},
        "batches": lambda: [_images()],
    },
    analysis.project_filters: {"kernel": KERNEL},
    analysis.plot_filters: {"kernels": {"a": KERNEL}, "path": "a.png"},
    analysis.plot_spectra: {
        "analyses": lambda: {"a": lowrank.rank_analysis(_network())},
        "path": "a.png",
    },
    analysis.plot_correlation: {"matrices": {"a": np.eye(4)}, "path": "a.png"},
}

# Of the faces, what other packages call with arguments that are checked already, and
# what another package's names are.
INNER = set(
    """
    as_images assign_groups BatchNormalization by_name carry_out channel_axis
    check_arguments choose_methods convert convolve_average_pools
    convolve_transposed decompose_in_order drop_auxiliary_heads Evaluation
    ExportError factorise fidelity Fidelity find_unmixed flat flat_columns
    from_tf_keras group_fits groupable grouped_conv2d handle host_target image_shape
    in_float32 in_order input_names input_ranges input_shapes InputRangeWarning
    is_batch_norm is_network is_softmax is_whole_network legend lost_responses
    meet_budget merge_normalization merge_projections native_works output_changes
    output_names packed panels plot_curves plot_pareto plot_tradeoff processor
    reference_outputs released_classes released_entry released_index replace_layers
    require_litert require_tensorflow rewrite rewrite_names run_converter save
    resolve_target sha256 Style style_axes styles to_tf_keras together widen_stem
    with_responses write_report
    """.split()
)
# Networks of other families share the checks of those in `CASES`.
SAME = [name for name in keras_roots.__all__ if name.startswith("Root")]


def _public():
    """Functions and classes of the faces by name; records that functions return not."""
    found = {}
    for face in FACES:
        package = importlib.import_module(f"keras_roots{face and '.'}{face}")
        for name in package.__all__:
            value = getattr(package, name)
            record = isinstance(value, type) and dataclasses.is_dataclass(value)
            if callable(value) and (not record or value is benchmarking.Case):
                found[name] = value
    return found


def _arguments(function):
    """Names of a function's arguments."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind != each.VAR_KEYWORD]


def _made(arguments):
    """Arguments, of which those that take time are functions without arguments."""
    return {k: value() if callable(value) else value for k, value in arguments.items()}


def _fault(function, arguments, name):
    """What is wrong with how a function refuses an argument; `None` if nothing is."""
    try:
        found = function(**arguments)
        if isinstance(found, benchmarking.Case):
            check_case(found)
    except (ValueError, FileNotFoundError) as error:
        named = any(f"`{name}{end}" in str(error) for end in ("`", "[", "="))
        return None if named else f"does not name it: {error}"[:150]
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:150]
    return "accepted"


WITHOUT_EFFECT = {
    "latency_table of multiply-adds": (
        compression.Planner,
        {**SAMPLES, "cost": "macs", "latency_table": "ms.csv"},
    ),
    "quantize of multiply-adds": (
        compression.Planner,
        {**SAMPLES, "cost": "macs", "quantize": "int8"},
    ),
    "latency_table of ranks": (
        keras_roots.plan_decomposition,
        {**MODEL, "latency_table": "ms.csv"},
    ),
    "images of ranks": (keras_roots.plan_decomposition, SAMPLES),
    "images of groups": (keras_roots.plan_rootify, {**SAMPLES, "root": 2}),
    "latency_table of 16 channels": (
        keras_roots.pack_groups,
        {**MODEL, "channels": 16, "latency_table": "ms.csv"},
    ),
    "latency_table of an export": (
        keras_roots.export_tflite,
        {**MODEL, "path": "net", "optimize": "widen_stem", "latency_table": "ms.csv"},
    ),
    "pooling before a classifier": (keras_roots.RootConvNet, {"pooling": "avg"}),
}


@pytest.mark.parametrize("case", WITHOUT_EFFECT)
def test_what_would_have_no_effect_is_refused(case):
    function, arguments = WITHOUT_EFFECT[case]
    name = case.partition(" ")[0]
    with pytest.raises(ValueError, match=f"`{name}` must be None.*have no effect"):
        function(**_made(arguments))


def test_every_public_function_is_here():
    missing = {name for name, value in _public().items() if value not in CASES}
    assert missing - INNER - set(SAME) == set()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
def test_what_is_senseless_is_refused_by_name(function, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    valid, faults = _made(CASES[function]), {}
    for name in _arguments(function):
        own = f"{function.__name__}.{name}"
        welcome = WELCOME.get(own, WELCOME.get(name, ()))
        for label in VALUES.keys() - welcome:
            fault = _fault(function, {**valid, name: VALUES[label]}, name)
            if fault:
                faults[f"{name}={label}"] = fault
    assert faults == {}
