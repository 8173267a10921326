"""What filter groups cost on a GPU, by how they are computed (Deep Roots, section 5).

The paper notes that a library that computes groups one after the other is bound by the
launches of its kernels, and that one product for all of them would not be.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent import futures

from keras_roots.layers import jax_lowering
from keras_roots.training import runs

# Name, height and width of images, channels, filters, kernel size and groups of layers:
# of Network in Network root-8, and of ResNet-50 root-64 at 224 x 224 pixels.
LAYERS = (
    ("root_nin:8 conv2a", 16, 96, 192, 5, 8),
    ("root_nin:8 conv3a", 8, 192, 192, 3, 4),
    ("root_resnet50:64 conv3", 28, 128, 128, 3, 32),
    ("root_resnet50:64 conv5", 7, 512, 512, 3, 8),
)
# Without groups: what the same layer takes in the dense network.
UNGROUPED = "no groups"
_SECONDS = 0.02  # at least, of a turn


def measure_lowerings(
    batch_sizes: Sequence[int] = (1, 32, 256),
    *,
    layers: Sequence[tuple] = LAYERS,
    dtype: str = "bfloat16",
    turns: int = 7,
) -> Iterator[dict]:
    """Measures layers with filter groups on JAX's device, each form in turns.

    Args:
        batch_sizes: Images at a time.
        layers: As `LAYERS`.
        dtype: Name of the dtype of images and kernels.
        turns: Turns of each form.

    Yields:
        A row per layer, batch size and form: medians over the turns, in milliseconds,
        of the forward pass and of that with both gradients, and their parts of what
        the layer without groups takes.
    """
    origin = runs.describe()
    for name, side, channels, filters, size, groups in layers:
        for batch_size in batch_sizes:
            images = (batch_size, side, side, channels)
            kernels = {
                form: (size, size, channels // groups, filters)
                for form in jax_lowering.FORMS
            } | {UNGROUPED: (size, size, channels, filters)}
            times = _times(images, kernels, groups, dtype, turns)
            for form, (forward, training) in times.items():
                dense = times[UNGROUPED]
                yield {
                    "layer": name,
                    "groups": groups,
                    "batch_size": batch_size,
                    "dtype": dtype,
                    "form": form,
                    "forward_ms": round(forward, 4),
                    "training_ms": round(training, 4),
                    "forward_ratio": round(forward / dense[0], 3),
                    "training_ratio": round(training / dense[1], 3),
                    "turns": turns,
                    **{key: origin[key] for key in ("hardware", "versions", "date")},
                }


def _times(images, kernels, groups, dtype, turns) -> dict[str, tuple[float, float]]:
    """Returns milliseconds of forward pass and training step of each form."""
    arguments = {
        "strides": (1, 1),
        "padding": "same",
        "data_format": "channels_last",
        "dilation_rate": (1, 1),
    }

    def compiled(form):
        function = jax_lowering.FORMS.get(form, jax_lowering.FORMS["native"])
        kernel = kernels[form]
        args, *steps = jax_lowering.steps(
            function, images, kernel, dtype, groups, arguments
        )
        return args, [step.lower(*args).compile() for step in steps]

    with futures.ThreadPoolExecutor() as executor:
        ready = dict(zip(kernels, executor.map(compiled, kernels), strict=True))
    found = {form: ([], []) for form in kernels}
    for _ in range(turns + 1):
        for form, (args, steps) in ready.items():
            for step, times in zip(steps, found[form], strict=True):
                times.append(_milliseconds(step, args))
    # The first turn warms up.
    return {
        form: tuple(statistics.median(times[1:]) for times in both)
        for form, both in found.items()
    }


def _milliseconds(step, args) -> float:
    """Mean time of a call, of as many in a row as fill a turn."""
    import jax

    count, seconds = 1, 0.0
    while seconds < _SECONDS:
        start = time.perf_counter()
        for _ in range(count):
            outputs = step(*args)
        jax.block_until_ready(outputs)
        seconds = time.perf_counter() - start
        mean, count = 1e3 * seconds / count, 2 * count
    return mean
