"""Measured time of single convolutions in LiteRT, alone or in chains."""

import csv
import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import export, utils
from keras_roots.benchmarking import comparison
from keras_roots.convolutions import Convolution
from keras_roots.layers import GroupedConv2D

COLUMNS = ("dtype", "threads", "convolutions", "ms", "processor", "versions")

# How networks run in LiteRT: quantisation, type of input and output. Within an int8
# network a convolution gets int8.
DTYPES = {
    "float32": (None, "float"),
    "dynamic": ("dynamic", "float"),
    "int8": ("int8", "int8"),
}

_TOGETHER = 16  # chains measured in turns, and converted before


@dataclasses.dataclass(frozen=True)
class ConvSpec:
    """A convolution as far as its time depends on it.

    Attributes:
        kernel: Height and width of its kernel.
        strides: Strides along height and width.
        padding: `"valid"` or `"same"`.
        dilation: Dilation along height and width.
        input_shape: Height, width and channels of its input.
        filters: Output channels.
        groups: Filter groups.
        use_bias: Whether it adds a bias.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    padding: str
    dilation: tuple[int, int]
    input_shape: tuple[int, int, int]
    filters: int
    groups: int
    use_bias: bool

    @classmethod
    def of(cls, layer: keras.layers.Conv2D, input_shape: Sequence[int]) -> "ConvSpec":
        """Returns the specification of a layer.

        Args:
            layer: A 2D convolution.
            input_shape: Height, width and channels of its input.

        Raises:
            ValueError: A side of the input is unknown.
        """
        if len(input_shape) != 3 or not all(
            isinstance(side, int) and side > 0 for side in input_shape
        ):
            raise ValueError(
                "`input_shape` must be the height, width and channels that layer "
                f"{layer.name!r} gets: its time depends on them. "
                f"Received: input_shape={input_shape}"
            )
        return cls(
            kernel=tuple(layer.kernel_size),
            strides=tuple(layer.strides),
            padding=layer.padding,
            dilation=tuple(layer.dilation_rate),
            input_shape=tuple(input_shape),
            filters=layer.filters,
            groups=layer.groups,
            use_bias=layer.use_bias,
        )

    def layer(self) -> keras.layers.Conv2D:
        """Returns such a layer, not built yet, with random weights."""
        return GroupedConv2D(
            self.filters,
            self.kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation,
            groups=self.groups,
            use_bias=self.use_bias,
            bias_initializer="random_normal",  # zeros might be left out
            data_format="channels_last",
            dtype="float32",
        )

    def __str__(self) -> str:
        parts = [
            f"{_by(self.kernel)} on {_by(self.input_shape)}",
            f"filters {self.filters}",
            f"groups {self.groups}",
            f"strides {_by(self.strides)}",
            f"dilation {_by(self.dilation)}",
            self.padding,
        ]
        return ", ".join(parts + ["bias"] * self.use_bias)


def specifications(convolution: Convolution) -> list[ConvSpec]:
    """Returns the specification of a convolution, for every call of it.

    Args:
        convolution: What its cost depends on.
    """
    height, width, channels, filters = convolution.kernel_shape
    return [
        ConvSpec(
            kernel=(height, width),
            strides=convolution.strides,
            padding=convolution.padding,
            dilation=convolution.dilation,
            input_shape=(*sides, channels * convolution.groups),
            filters=filters,
            groups=convolution.groups,
            use_bias=convolution.use_bias,
        )
        for sides in convolution.inputs
    ]


Chain = tuple[ConvSpec, ...]


class LatencyTable:
    """Milliseconds of convolutions in LiteRT on a CPU, measured when first asked for.

    Args:
        path: CSV file with the columns `COLUMNS` that holds measurements, and to which
            new ones are added; need not exist. `None` keeps them in memory only.
        dtype: How the network will run: a key of `DTYPES`.
        threads: Number of threads.
        runs: Timed calls of each chain.
        measure: Function of `(chains, dtype, threads, runs)` that returns the
            milliseconds of each chain, for times that come from elsewhere; by default
            they are measured in LiteRT on this machine.

    Raises:
        ValueError: An argument is impossible, or the file is no such table.
        OSError: The file cannot be read.

    Example:
        >>> table = LatencyTable("latency.csv", dtype="int8")
        >>> whole = ConvSpec.of(model.get_layer("conv2"), (32, 32, 64))
        >>> table.ms(whole)
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        dtype: str = "float32",
        threads: int = 1,
        runs: int = 50,
        *,
        measure: Callable[[Sequence[Chain], str, int, int], list[float]] | None = None,
    ):
        if dtype not in DTYPES:
            raise ValueError(
                f"`dtype` must be one of {list(DTYPES)}. Received: dtype={dtype!r}"
            )
        if path is not None and not isinstance(path, str | os.PathLike):
            raise ValueError(
                "`path` must name a CSV file, or be None for times kept in memory. "
                f"Received: path={path!r}"
            )
        for name, value in (("threads", threads), ("runs", runs)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive integer. Received: {name}={value!r}"
                )
        self.path, self.dtype, self.threads, self.runs = path, dtype, threads, runs
        self._measure = measure or measure_chains
        self._rows = self._read()

    def ms(self, spec: ConvSpec) -> float:
        """Returns the milliseconds of one convolution."""
        return self.ms_many([(spec,)])[0]

    def ms_many(self, chains: Sequence[Chain]) -> list[float]:
        """Returns the milliseconds of chains of convolutions, run one after the other.

        What is not in the table is measured and added. Neighbours in `chains` are
        measured in turns, so that they share the machine's moods: put a layer beside
        what may replace it.

        Args:
            chains: Chains of convolutions, each taking what the one before it gives.

        Raises:
            ValueError: Convolutions do not fit; the file was measured on another
                machine and lacks some of them.
            ImportError: TensorFlow or ai-edge-litert is not installed.
            OSError: The file cannot be written.
        """
        keys = [self._key(chain) for chain in chains]
        missing = {
            key: tuple(chain)
            for key, chain in zip(keys, chains, strict=True)
            if key not in self._rows
        }
        for chain in missing.values():
            _check_chain(chain)
        todo = list(missing.items())
        for start in range(0, len(todo), _TOGETHER):
            self._add(dict(todo[start : start + _TOGETHER]))
        return [float(self._rows[key]["ms"]) for key in keys]

    def _key(self, chain) -> tuple[str, str, str]:
        return self.dtype, str(self.threads), "; ".join(map(str, chain))

    def _add(self, chains):
        processor = comparison.processor()
        self._check_processor(processor)
        times = self._measure(
            list(chains.values()), self.dtype, self.threads, self.runs
        )
        added = {
            key: dict(
                zip(
                    COLUMNS,
                    (*key, f"{ms:.5f}", processor, comparison.versions()),
                    strict=True,
                )
            )
            for key, ms in zip(chains, times, strict=True)
        }
        # Another process may have added to the file meanwhile.
        self._rows = {**self._rows, **self._read(), **added}
        if self.path is not None:
            utils.write_csv(self.path, list(self._rows.values()))

    def _check_processor(self, processor):
        others = {row["processor"] for row in self._rows.values()} - {processor}
        if others:
            raise ValueError(
                f"`path` {os.fspath(self.path)!r} holds times measured on another "
                f"machine, {sorted(others)}, and lacks some that are needed; times of "
                "two machines do not compare. Give another path, or measure there. "
                f"Received: a measurement on {processor!r}"
            )

    def _read(self) -> dict[tuple[str, str, str], dict]:
        if self.path is None or not os.path.exists(self.path):
            return {}
        with open(self.path, newline="") as file:
            text = file.read()
        try:
            return _parse(text)
        except (ValueError, csv.Error) as error:
            raise ValueError(
                "`path` must be a CSV file with the columns "
                f"{', '.join(COLUMNS)}, as LatencyTable writes it, or not exist yet. "
                f"Received: {os.fspath(self.path)!r}, in which reading failed with: "
                f"{error}"
            ) from error


def measure_chains(
    chains: Sequence[Chain], dtype: str, threads: int = 1, runs: int = 50
) -> list[float]:
    """Measures chains of convolutions in LiteRT on this machine, in turns.

    Args:
        chains: Chains of convolutions, each taking what the one before it gives.
        dtype: A key of `DTYPES`; int8 is calibrated on random numbers, which its speed
            does not depend on.
        threads: Number of threads.
        runs: Timed calls of each.

    Returns:
        Milliseconds of a call: the first decile, which other work on the machine
        disturbs least.

    Raises:
        ImportError: TensorFlow or ai-edge-litert is not installed.
        ValueError: Keras runs on another backend than TensorFlow.
    """
    export.require_tensorflow()
    export.require_litert()
    with tempfile.TemporaryDirectory() as folder:
        cases = {}
        for index, chain in enumerate(chains):
            path = os.path.join(folder, f"{index}.tflite")
            with open(path, "wb") as file:
                file.write(_converted(chain, dtype))
            cases[path] = comparison.Case(path, threads=threads)
        return [row.p10_ms for row in comparison.compare(cases, runs=runs)]


def _converted(chain, dtype) -> bytes:
    shape = chain[0].input_shape
    model = keras.Sequential([keras.Input(shape), *(spec.layer() for spec in chain)])
    quantize, io = DTYPES[dtype]
    return export.convert(
        model,
        quantize=quantize,
        calibration_images=np.random.default_rng(0).normal(size=(2, *shape)),
        io=io,
    )


def _check_chain(chain):
    if not chain:
        raise ValueError("`chains` must hold convolutions. Received: an empty chain")
    for spec, following in zip(chain, chain[1:], strict=False):
        shape = spec.layer().compute_output_shape((1, *spec.input_shape))[1:]
        if tuple(shape) != tuple(following.input_shape):
            raise ValueError(
                "`chains` must hold convolutions that fit: each takes what the one "
                f"before it gives, here {tuple(shape)}. Received: '{spec}' before "
                f"'{following}'"
            )


def _parse(text) -> dict[tuple[str, str, str], dict]:
    reader = csv.DictReader(text.splitlines())
    if reader.fieldnames != list(COLUMNS):
        raise ValueError(f"columns {reader.fieldnames}")
    rows = {}
    for row in reader:
        if None in row.values() or not 0 < float(row["ms"]) < float("inf"):
            raise ValueError(f"row {row}")
        rows[row["dtype"], row["threads"], row["convolutions"]] = row
    return rows


def _by(sides) -> str:
    return "x".join(map(str, sides))
