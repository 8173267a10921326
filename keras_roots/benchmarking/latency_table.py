"""Time of convolutions and of whole networks in LiteRT, measured when it is needed."""

import os
import tempfile
from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_roots import convolutions, export, graph, utils
from keras_roots.benchmarking import comparison, machine
from keras_roots.benchmarking.cases import Case
from keras_roots.convolutions import Convolution
from keras_roots.utils import checks

# Type of input and output: within an int8 network a convolution gets int8.
_IO = {None: "float", "dynamic": "float", "int8": "int8"}

_TOGETHER = 16  # chains measured in turns, and converted before


class LatencyTable(convolutions.MeasuredTimes):
    """Milliseconds of convolutions in LiteRT on a CPU, measured when first needed.

    Args:
        path: CSV file that holds measurements, and to which new ones are added; need
            not exist. `None` keeps them in memory only.
        quantize: How the network will be quantised: `None`, `"dynamic"` or `"int8"`.
        threads: Number of threads.
        runs: Timed calls of each chain.
        measure: Function of `(chains, quantize, threads, runs)` that returns the
            milliseconds of each chain, for times that come from elsewhere; by default
            they are measured in LiteRT on this machine.

    Raises:
        ValueError: An argument is impossible, or the file is no such table.
        OSError: The file cannot be read.

    Example:
        >>> table = LatencyTable("latency.csv", quantize="int8")
        >>> whole = Convolution.of(model.get_layer("conv2"), [(32, 32)])
        >>> table.ms([(whole,)])
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        quantize: str | None = None,
        threads: int = 1,
        runs: int = 50,
        *,
        measure: Callable[..., list[float]] | None = None,
    ):
        super().__init__(path, quantize, threads)
        self.runs = checks.integer("runs", runs)
        self._measure = checks.function(
            "measure", measure_chains if measure is None else measure
        )

    @classmethod
    def open(
        cls,
        table: "str | os.PathLike | LatencyTable | None",
        quantize: str | None = None,
        threads: int = 1,
    ) -> "LatencyTable":
        """Returns a table as it is, or the one that is kept in a file.

        Args:
            table: A table, the path of its file, or `None` to keep nothing.
            quantize: As for `LatencyTable`.
            threads: As for `LatencyTable`.
        """
        return table if isinstance(table, cls) else cls(table, quantize, threads)

    def ms(self, chains: Sequence[Sequence[Convolution]]) -> list[float]:
        """Returns the milliseconds of chains, all calls of their convolutions together.

        What is not in the table is measured and added. Neighbours in `chains` are
        measured in turns, under the same load of the machine: put a layer beside what
        may replace it.

        Args:
            chains: Chains of convolutions, each of which takes what the one before it
                gives, and has as many calls.

        Raises:
            ValueError: Convolutions do not fit; the file was measured on another
                machine and lacks some of them.
            ImportError: TensorFlow or ai-edge-litert is not installed.
            OSError: The file cannot be written.
        """
        return super().ms(chains)

    def measure_groups(
        self, model: keras.Model, input_shape: Sequence | None = None
    ) -> None:
        """Adds convolutions with groups, at every number of groups they can merge to.

        `pack_groups` and exports with this `latency_table` go by these times.

        Args:
            model: A functional or Sequential model with filter groups.
            input_shape: Shape of one input, where the model's own has unknown sides.

        Raises:
            ValueError: The model is subclassed or has no convolutions.
        """
        graph.check_built(model)
        sides = convolutions.input_sides(model, input_shape)
        for layer in convolutions.find_convolutions(model).values():
            counts = [n for n in range(1, layer.groups + 1) if layer.groups % n == 0]
            if layer.groups > 1:
                for call in Convolution.of(layer, sides[id(layer)]).calls:
                    self.ms([(call.with_groups(count),) for count in counts])

    def network_ms(
        self, model: keras.Model, input_shape: Sequence | None = None
    ) -> float:
        """Measures a whole network as convolutions are; nothing of it is kept.

        Args:
            model: The network.
            input_shape: Shape of one input, where the model's own has unknown sides.

        Returns:
            Milliseconds, as `measure_network` returns them.
        """
        return measure_network(model, self.quantize, self.threads, input_shape)

    def _add(self, missing):
        todo = list(missing.items())
        for start in range(0, len(todo), _TOGETHER):
            self._add_together(dict(todo[start : start + _TOGETHER]))

    def _add_together(self, chains):
        processor = machine.processor()
        self._check_processor(processor)
        times = self._measure(
            list(chains.values()), self.quantize, self.threads, self.runs
        )
        added = {}
        for key, ms in zip(chains, times, strict=True):
            cells = (*key, f"{ms:.5f}", processor, machine.versions())
            added[key] = dict(zip(convolutions.TIME_COLUMNS, cells, strict=True))
        # Another process may have added to the file meanwhile.
        self._rows = {**self._rows, **self._read(), **added}
        if self.path is not None:
            utils.write_csv(self.path, list(self._rows.values()))

    def _check_processor(self, processor):
        others = {row["processor"] for row in self._rows.values()} - {processor}
        if others:
            raise ValueError(
                f"`path` {self.path!r} holds times measured on another "
                f"machine, {sorted(others)}, and lacks some that are needed; times of "
                "two machines do not compare. Give another path, or measure there. "
                f"Received: a measurement on {processor!r}"
            )


def measure_chains(
    chains: Sequence[Sequence[Convolution]],
    quantize: str | None,
    threads: int = 1,
    runs: int = 50,
) -> list[float]:
    """Measures chains of convolutions in LiteRT on this machine, in turns.

    Args:
        chains: Chains of convolutions with one call each, every one of which takes what
            the one before it gives.
        quantize: `None`, `"dynamic"` or `"int8"`, which is calibrated on random
            numbers: its speed does not depend on them.
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
                file.write(_converted(chain, quantize))
            cases[path] = Case(path, threads=threads)
        return [row.p10_ms for row in comparison.compare(cases, runs=runs)]


def measure_network(
    model: keras.Model,
    quantize: str | None,
    threads: int = 1,
    input_shape: Sequence | None = None,
) -> float:
    """Measures a whole network in LiteRT on this machine.

    Args:
        model: The network, which is exported with `optimize="latency"`.
        quantize: As for `measure_chains`.
        threads: Number of threads.
        input_shape: Shape of one input, where the model's own has unknown sides.

    Returns:
        Milliseconds of a call: the first decile, as `measure_chains` returns.

    Raises:
        ImportError: TensorFlow or ai-edge-litert is not installed.
        ValueError: The model cannot be exported.
    """
    case = Case(
        model,
        threads=threads,
        input_shape=input_shape,
        quantize=quantize,
        optimize="latency",
    )
    return comparison.compare({"model": case})[0].p10_ms


def _converted(chain, quantize) -> bytes:
    shape = chain[0].input_shape
    layers = [convolution.layer() for convolution in chain]
    return export.convert(
        keras.Sequential([keras.Input(shape), *layers]),
        quantize=quantize,
        calibration_images=np.random.default_rng(0).normal(size=(2, *shape)),
        io=_IO[quantize],
    )
