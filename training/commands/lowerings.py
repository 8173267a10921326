r"""Measures how filter groups are best computed on JAX, on a GPU for instance.

Example:
  KERAS_BACKEND=jax keras-roots-lowerings --output=results/lowerings.csv

Layers of Network in Network and of ResNet-50, forward and in a training step, at batch
sizes 1, 32 and 256: by XLA's filter groups, as one convolution per group, as one
product of matrices for all groups, as a dense convolution with a block-diagonal kernel,
and without groups. Prints the rows as CSV, and writes them to --output.
"""

import keras

from keras_roots import utils
from keras_roots.training import reports
from keras_roots.training.commands import flags
from keras_roots.training.options import option, options


@options
class Lowerings:
    """What is measured."""

    dtype: str = option(
        "bfloat16",
        "Arithmetic.",
        choices=("bfloat16", "float16", "float32"),
    )
    turns: int = option(7, "Turns of each form.", least=1)
    output: str | None = option(None, "CSV file to write as well.")


def main(given) -> None:
    """Measures as the flags say and prints rows."""
    backend = keras.backend.backend()
    if backend != "jax":
        raise ValueError(
            "Layers are measured as JAX computes them: set KERAS_BACKEND=jax. "
            f"Received: backend {backend!r}"
        )
    asked = given[Lowerings]
    rows = reports.measure_lowerings(dtype=asked.dtype, turns=asked.turns)
    utils.print_csv(rows, asked.output)


run = flags.command(main, __doc__, Lowerings)
