"""Times of single grouped convolutions: in TensorFlow by lowering, in LiteRT by groups.

The first shows what `GroupedConv2D` is for, the second is the table that `pack_groups`
goes by.
"""

import csv
import dataclasses
import importlib.metadata
import io
import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import benchmarking, export
from keras_roots.layers import GroupedConv2D
from keras_roots.utils import format_table

# 3x3 convolutions of ResNets: (height and width, channels and filters, groups).
LAYERS = ((56, 64, 8), (28, 128, 32), (14, 256, 16), (7, 512, 8))

VARIANTS = {
    "native": lambda filters, groups: GroupedConv2D(
        filters, 3, padding="same", groups=groups, lowering="native"
    ),
    "split": lambda filters, groups: GroupedConv2D(
        filters, 3, padding="same", groups=groups, lowering="split"
    ),
    "stock Conv2D": lambda filters, groups: keras.layers.Conv2D(
        filters, 3, padding="same", groups=groups
    ),
    "dense": lambda filters, groups: keras.layers.Conv2D(filters, 3, padding="same"),
}
COST_DTYPES = ("float32", "dynamic", "int8")

_PATIENCE = 2.0  # seconds per layer and turn: the stock layer can take one per call
_TURNS = 7
_TURN = 0.02  # seconds


@dataclasses.dataclass(frozen=True)
class LayerLatency:
    """Times of one convolution layer in TensorFlow.

    Attributes:
        layer: Height, width, channels and groups.
        variant: How it is computed: a key of `VARIANTS`.
        batch_size: Images per call.
        threads: Number of threads.
        forward_ms: Median time of the forward pass in milliseconds, NaN if this
            machine cannot run it.
        training_ms: Median time of forward pass and gradient.
        runs: Number of calls timed.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    layer: str
    variant: str
    batch_size: int
    threads: int
    forward_ms: float
    training_ms: float
    runs: int
    processor: str
    versions: str


def time_layers(
    runs: int = 20,
    batch_size: int = 8,
    threads: int = 1,
    layers: Sequence[tuple[int, int, int]] = LAYERS,
    progress: Callable[[str], None] = lambda line: None,
) -> list[LayerLatency]:
    """Times the lowerings of grouped convolutions, in turns.

    Args:
        runs: Calls to time, fewer where they take long.
        batch_size: Images per call.
        threads: Number of threads.
        layers: The layers, as `LAYERS`.
        progress: Called with a line of text after each layer.

    Raises:
        ValueError: TensorFlow has started with another number of threads.
    """
    use_threads(threads)
    rows = []
    for side, channels, groups in layers:
        calls = {
            (name, training): _call(make(channels, groups), side, batch_size, training)
            for name, make in VARIANTS.items()
            for training in (False, True)
        }
        times = {key: [] for key in calls}
        for _ in range(4):
            for key, call in calls.items():
                times[key] += _turn(call, math.ceil(runs / 4))
        layer = f"{side}x{side}x{channels} g{groups}"
        rows += [
            LayerLatency(
                layer=layer,
                variant=name,
                batch_size=batch_size,
                threads=threads,
                forward_ms=_median_ms(times[name, False]),
                training_ms=_median_ms(times[name, True]),
                runs=len(times[name, True]),
                processor=benchmarking.processor(),
                versions=benchmarking.versions(),
            )
            for name in VARIANTS
        ]
        progress(f"{layer} done")
    return rows


def layer_table(rows: Sequence[LayerLatency]) -> str:
    """Returns the times of layers as a table for the terminal."""
    lines = [("layer", "computed", "forward ms", "forward + backward ms")]
    for row in rows:
        times = (f"{row.forward_ms:.2f}", f"{row.training_ms:.2f}")
        lines.append((row.layer, row.variant, *times))
    about = (
        f"batch {rows[0].batch_size}, threads {rows[0].threads}; "
        f"{rows[0].processor}; {rows[0].versions}"
    )
    return "\n".join([format_table(lines[0], lines[1:], left=2), about])


def use_threads(threads: int) -> None:
    """Sets TensorFlow's number of threads in this process.

    Raises:
        ValueError: TensorFlow has started with another number.
    """
    import tensorflow as tf

    config = tf.config.threading
    try:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        if config.get_intra_op_parallelism_threads() != threads:
            raise ValueError(
                "`threads` can only be set before TensorFlow runs its first operation; "
                "start a new process. "
                f"Received: threads={threads}"
            ) from error


def measure_costs(
    shapes: Sequence[export.CostShape] = export.COST_SHAPES,
    dtypes: Sequence[str] = COST_DTYPES,
    progress: Callable[[str], None] = lambda line: None,
) -> str:
    """Measures the cost table of `pack_groups` on this machine, with one thread.

    All group counts of a shape take turns, seven of at least 20 ms each; the table
    holds the smallest of the turns' medians, which other work on the machine disturbs
    least.

    Args:
        shapes: The convolutions to measure, for all their group counts.
        dtypes: How they run: among `COST_DTYPES`.
        progress: Called with a line of text after each shape.

    Returns:
        The table as CSV text, headed by how it was measured.
    """
    out = io.StringIO()
    out.write(
        "# Milliseconds of one stride-1 convolution + bias + ReLU, ai-edge-litert "
        f"{importlib.metadata.version('ai-edge-litert')}, XNNPACK, one thread,\n"
        f"# on: {benchmarking.processor()}.\n"
        "# Group counts took turns, seven each; smallest of the turns' medians.\n"
    )
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(export.COST_COLUMNS)
    for dtype in dtypes:
        for shape in shapes:
            measured = _measure(shape, dtype)
            for groups, ms in measured.items():
                writer.writerow((dtype, *shape, groups, f"{ms:.4f}"))
            best = min(measured, key=measured.get)
            progress(f"{dtype} {tuple(shape)}: fastest with {best} groups")
    return out.getvalue()


def _call(layer, side, batch_size, training):
    """Returns a function that runs a layer once, or `None` if it does not run."""
    import tensorflow as tf

    shape = (batch_size, side, side, layer.filters)
    inputs = tf.constant(np.random.default_rng(0).normal(size=shape), "float32")
    layer.build(shape)

    @tf.function
    def forward():
        return layer(inputs)

    @tf.function
    def with_gradient():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        return tape.gradient(outputs, [inputs, *layer.trainable_variables])

    function = with_gradient if training else forward

    def call():
        return keras.tree.map_structure(lambda tensor: tensor.numpy(), function())

    try:
        call()
    except tf.errors.OpError:
        return None
    return call


def _turn(call, count):
    times = []
    if call is None:
        return times
    started = time.perf_counter()
    while len(times) < count and time.perf_counter() - started < _PATIENCE:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


def _median_ms(times):
    return 1e3 * float(np.median(times)) if times else math.nan


def _measure(shape, dtype) -> dict[int, float]:
    common = math.gcd(shape.channels, shape.filters)
    counts = [groups for groups in range(1, common + 1) if common % groups == 0]
    models = {groups: _single_layer(shape, groups, dtype) for groups in counts}
    medians = {groups: [] for groups in counts}
    for _ in range(_TURNS):
        for groups, model in models.items():
            medians[groups].append(_median_of_turn(model.invoke))
    return {groups: 1e3 * min(found) for groups, found in medians.items()}


def _median_of_turn(call) -> float:
    found = []
    until = time.perf_counter() + _TURN
    while len(found) < 5 or time.perf_counter() < until:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def _single_layer(shape, groups, dtype) -> export.LiteRTModel:
    layer = GroupedConv2D(
        shape.filters,
        shape.kernel,
        groups=groups,
        padding="same",
        activation="relu",
        bias_initializer="random_normal",
    )
    image = (shape.side, shape.side, shape.channels)
    model = keras.Sequential([keras.Input(image), layer])
    images = np.random.default_rng(0).normal(size=(2, *image)).astype("float32")
    content = export.convert(
        model,
        quantize=None if dtype == "float32" else dtype,
        calibration_images=images,
        io="int8" if dtype == "int8" else "float",
    )
    loaded = export.LiteRTModel(content)
    loaded.set_input(images[:1])
    loaded.invoke()
    return loaded
