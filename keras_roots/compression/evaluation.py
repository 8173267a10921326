"""What stages of a compression are worth: outputs, the user's metric, counted costs."""

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from keras_roots.compression.fidelity import (
    Fidelity,
    fidelity,
    file_outputs,
    output_names,
)
from keras_roots.convolutions import Samples
from keras_roots.export import by_name
from keras_roots.profiling import profile
from keras_roots.utils import checks

Metric = Callable[[keras.Model], float]


class Evaluation:
    """Compares changed networks, and their files, with the original.

    Args:
        model: The original.
        held_out: Samples that nothing is fitted to.
        metric: Function of a Keras model that returns a number, the greater the better;
            it is called on the original at once.
        threads: Threads that files run on.

    Raises:
        ValueError: The outputs of the original are not finite, or `metric` is no such
            function.
    """

    def __init__(
        self,
        model: keras.Model,
        held_out: Samples,
        metric: Metric | None = None,
        threads: int = 1,
    ):
        self.held_out = held_out
        self._metric, self._threads = metric, threads
        self._measured: dict[int, tuple[keras.Model, float]] = {}
        self._names = output_names(model)
        self._named = by_name(model, held_out.arrays)
        if metric is not None:
            checks.function("metric", metric, "model")
        self._expected = held_out.outputs(model)
        if not all(np.isfinite(output).all() for output in self._expected):
            raise ValueError(
                "`model` must answer `images` with finite numbers. Received: a model "
                "whose outputs are NaN or infinite: look for such weights, or images "
                "of another range than it was trained on"
            )
        self.metric(model)

    def metric(self, model: keras.Model) -> float | None:
        """Returns the user's metric of a model; `None` without.

        Args:
            model: The model.

        Raises:
            ValueError: `metric` returns no finite number.
        """
        if self._metric is None:
            return None
        if id(model) not in self._measured:
            value = self._metric(model)
            number = np.asarray(value) if hasattr(value, "__array__") else value
            if isinstance(number, np.ndarray) and number.size == 1:
                number = number.item()
            if not checks.is_number(number):
                raise ValueError(
                    "`metric` must return a finite number for a Keras model. "
                    f"Received: {value!r} for {model.name!r}"
                )
            # The model is kept with it: another one could get its id.
            self._measured[id(model)] = model, float(number)
        return self._measured[id(model)][1]

    def of_model(self, model: keras.Model) -> Fidelity:
        """Returns how near the outputs of a Keras model are to the original's.

        Args:
            model: A model of the same inputs and outputs.
        """
        return fidelity(self._expected, self.held_out.outputs(model), self._names)

    def of_file(self, tflite: bytes) -> Fidelity:
        """Returns how near the outputs of a LiteRT file are to the original's.

        Args:
            tflite: Content of the file.
        """
        found = file_outputs(tflite, self._named, self._threads)
        return fidelity(self._expected, found, self._names)

    def row(self, name: str, model: keras.Model, near: Fidelity | None = None) -> dict:
        """Returns the row of a stage.

        Args:
            name: Name of the stage.
            model: Its network.
            near: How near its file is to the original; `None` for the network itself.

        Returns:
            Values by name: `name`, `agreement`, `error`, `errors` by output where there
            are several, `metric`, `macs`, `params`.
        """
        near = self.of_model(model) if near is None else near
        counted = profile(model)
        row = {"name": name, "agreement": near.agreement, "error": near.error}
        if len(near.outputs) > 1:
            row["errors"] = {output.name: output.error for output in near.outputs}
        row |= {"metric": self.metric(model)}
        return row | {"macs": counted.macs, "params": counted.params}


def flat(row: Mapping) -> dict:
    """Returns a row of `Evaluation` with a column for the error of each output."""
    errors = {f"error {name}": value for name, value in row.get("errors", {}).items()}
    return {name: value for name, value in row.items() if name != "errors"} | errors


def flat_columns(columns: Mapping[str, str], rows: Sequence[Mapping]) -> dict[str, str]:
    """Returns columns with those of `flat` after the error of all outputs.

    Args:
        columns: Columns with the format of their values.
        rows: Rows of `Evaluation`, of one network.
    """
    found = {}
    for name, form in columns.items():
        found[name] = form
        if name == "error":
            found |= {f"error {output}": form for output in rows[0].get("errors", {})}
    return found
