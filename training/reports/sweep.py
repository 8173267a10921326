"""Networks that others made, put through every function: what works, what does not."""

import collections
import dataclasses
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from pathlib import Path

import keras
import numpy as np

import keras_roots
from keras_roots import compression, convolutions, export, graph, utils
from keras_roots.profiling import profile
from keras_roots.training import networks
from keras_roots.training.runs import quiet
from keras_roots.utils import checks, markdown_rows

WORKS, REFUSED, WRONG, CRASHED = "works", "refused", "wrong", "crashed"
_EXACT = 1e-4  # relative squared error of what must change nothing
_SHOWN = 400  # characters of a message


@dataclasses.dataclass
class Trial:
    """A network on its way through the steps.

    Attributes:
        model: The network.
        images: Sample inputs, one array per input.
        folder: Where files are written.
        budget: Part of the multiply-adds that `compress` may keep.
        small: The compressed network, once that step has made it.
    """

    model: keras.Model
    images: Sequence[np.ndarray]
    folder: Path
    budget: float
    small: keras.Model | None = None

    def error(self, model: keras.Model, other: keras.Model | None = None) -> float:
        """Returns the relative squared error of outputs, the mean over outputs.

        Args:
            model: The network to compare.
            other: What it is compared with; by default the original.
        """
        return _error(self.outputs(other or self.model), self.outputs(model))

    def outputs(self, model: keras.Model) -> list[np.ndarray]:
        """Returns the outputs of a network for the images."""
        found = model.predict(self.given, batch_size=8, verbose=0)
        return [np.asarray(output) for output in keras.tree.flatten(found)]

    @property
    def given(self):
        """The images as the network takes them."""
        return self.images[0] if len(self.images) == 1 else tuple(self.images)


def _copy(trial) -> float:
    return trial.error(graph.rewrite(trial.model, lambda layer: None))


def _full_rank(trial) -> float:
    ranks = {
        name: layer.groups
        * min(np.prod(layer.kernel.shape[:3]), layer.filters // layer.groups)
        for name, layer in convolutions.find_convolutions(
            graph.take_apart(trial.model)
        ).items()
    }
    plan = keras_roots.plan_decomposition(trial.model, ranks=ranks, cost=None)
    return trial.error(plan.apply())


def _groups(trial) -> float:
    plan = keras_roots.plan_rootify(
        trial.model, 2, carry_over="responses", images=trial.given
    )
    return trial.error(plan.apply())


def _rewrites(trial) -> float:
    return trial.error(export.rewrite(trial.model, export.LATENCY, "float32")[0])


def _compress(trial) -> float:
    found = keras_roots.compress(
        trial.model, trial.given, trial.budget, cost="macs", say=lambda line: None
    )
    trial.small = found.model
    return trial.error(trial.small)


def _saved(trial) -> float:
    path = trial.folder / "small.keras"
    trial.small.save(path)
    return trial.error(utils.load_model(path), trial.small)


def _litert(trial, quantize=None) -> float:
    path = trial.folder / f"{quantize}.tflite"
    data = trial.given if quantize else None
    keras_roots.export_tflite(
        trial.small, path, quantize, data, optimize=export.LATENCY
    )
    given = export.by_name(trial.small, trial.images)
    found = export.LiteRTModel(path.read_bytes()).predict(given)
    return _error(trial.outputs(trial.small), found)


def _int8(trial) -> float:
    return _litert(trial, "int8")


@dataclasses.dataclass(frozen=True)
class Step:
    """Something that is done to a network.

    Attributes:
        run: Function of a `Trial` that returns the relative squared error of outputs.
        heading: What the error is of.
        exact: Whether the outputs must stay the same.
        after: Whether it needs the compressed network.
    """

    run: Callable[[Trial], float]
    heading: str
    exact: bool = True
    after: bool = False


STEPS = {
    "copy": Step(_copy, "copied"),
    "full_rank": Step(_full_rank, "decomposed at full rank"),
    "rewrites": Step(_rewrites, "rewritten for latency"),
    "groups": Step(_groups, "two groups", exact=False),
    "compress": Step(_compress, "compressed", exact=False),
    "saved": Step(_saved, "saved and loaded", after=True),
    "float32": Step(_litert, "LiteRT float32", after=True),
    "int8": Step(_int8, "LiteRT int8", exact=False, after=True),
}


def sweep_network(
    name: str,
    photographs: np.ndarray,
    image_size: int | None = None,
    budget: float = 0.5,
    progress: Callable[[str], None] = lambda line: None,
) -> list[dict]:
    """Puts a network through every step, in a process of its own.

    BatchNormalization's statistics of networks with random weights are estimated on the
    images before. A network whose process dies has the row of its crash.

    Args:
        name: Network: `"root_nin:8"`, `"keras.applications.NAME"`, `"examples.NAME"`,
            or path of a `.keras` file.
        photographs: Images `(n, height, width, 3)`, pixels 0 to 255, which are resized
            for each input.
        image_size: Height and width of the network's images where they may be chosen.
        budget: Part of the multiply-adds that `compress` may keep.
        progress: Called with a line of text in the end.

    Returns:
        A row for every step: `network`, `step`, `outcome` (works, refused:
        by a message, wrong: outputs changed that must not, or another error, crashed),
        `error`, `macs`, `macs_after`, `seconds`, `message`.
    """
    start = time.perf_counter()
    spawn = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(1, spawn, quiet) as pool:
        work = pool.submit(put_through, name, photographs, image_size, budget)
        try:
            rows = work.result()
        except futures.process.BrokenProcessPool as error:
            rows = [_row(name, "all", CRASHED, message=str(error))]
    counts = collections.Counter(row["outcome"] for row in rows)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    progress(f"{name}: {told}, {time.perf_counter() - start:.0f} s")
    return rows


def put_through(
    name: str, photographs: np.ndarray, image_size: int | None, budget: float
) -> list[dict]:
    """Puts one network through every step.

    Args:
        name: As for `sweep_network`, like all arguments.
        photographs: Images.
        image_size: Height and width.
        budget: Part of the multiply-adds.

    Returns:
        The rows of the network.
    """
    keras.utils.set_random_seed(0)
    try:
        model = networks.parse_model(name, image_size)
    except (ValueError, ImportError, OSError) as error:
        return [_row(name, "build", REFUSED, message=str(error))]
    images = [  # another image for every input
        np.roll(_resized(photographs, tensor.shape[1:]), index, axis=0)
        for index, tensor in enumerate(model.inputs)
    ]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(model, images, Path(folder), budget)
        if not networks.is_trained(name):
            trial.model = convolutions.recalibrate(model, trial.given)
        macs = profile(trial.model).macs
        for key, step in STEPS.items():
            if step.after and trial.small is None:
                continue
            start = time.perf_counter()
            found = _try(step, trial)
            if key == "compress" and trial.small is not None:
                found["macs_after"] = profile(trial.small).macs
            found["seconds"] = round(time.perf_counter() - start, 1)
            rows.append(_row(name, key, macs=macs, **found))
    return rows


def render(rows: Sequence[Mapping], budget: float) -> str:
    """Returns a Markdown table, a line per network, and the words of refusals.

    Args:
        rows: What `sweep_network` returned, of several.
        budget: As for `sweep_network`.
    """
    lines, words = {}, {}
    for row in rows:
        line = lines.setdefault(row["network"], {"network": row["network"]})
        line["macs"] = row.get("macs") or line.get("macs")
        line[row["step"]] = _cell(row, words)
    heads = {"network": ("network", "`{}`"), "macs": ("multiply-adds", "{:,}")}
    for key, step in STEPS.items():
        heading = f"{step.heading} to {budget:g}" if key == "compress" else step.heading
        heads[key] = (heading, "{}")
    table = markdown_rows(list(lines.values()), heads)
    notes = [f"{number}. {text}" for text, number in words.items()]
    return "\n".join([table, "", *notes]) + "\n"


def _cell(row, words) -> str:
    if row["outcome"] == WORKS:
        exact = row["step"] in STEPS and STEPS[row["step"]].exact
        return "same" if exact else f"{row['error']:.2%}"
    number = words.setdefault(row["message"], len(words) + 1)
    return f"{row['outcome']} ({number})"


def _try(step, trial) -> dict:
    """The outcome of a step, its error and its message."""
    try:
        error = step.run(trial)
    except (ValueError, ImportError) as refusal:
        return {"outcome": REFUSED, "message": checks.quoted(refusal, _SHOWN)}
    except Exception as fault:
        # A fault of the package is what is looked for: none may stop the sweep.
        said = f"{type(fault).__name__}: {checks.quoted(fault, _SHOWN)}"
        return {"outcome": WRONG, "message": said}
    found = {"outcome": WORKS, "error": float(error)}
    if not np.isfinite(error) or (step.exact and error > _EXACT):
        found |= {"outcome": WRONG, "message": f"outputs are off by {error:.2%}"}
    return found


def _row(network, step, outcome, **more) -> dict:
    columns = ("network", "step", "outcome", "error", "macs", "macs_after", "seconds")
    found = {"network": network, "step": step, "outcome": outcome, **more}
    error = found.get("error")
    if error is not None:
        found["error"] = float(f"{error:.3g}")
    return {column: found.get(column) for column in (*columns, "message")}


def _error(expected, found) -> float:
    return compression.fidelity(expected, found).error


def _resized(photographs, shape) -> np.ndarray:
    """Images of the shape of an input, in grey where it has one channel."""
    height, width, channels = shape
    resized = keras.ops.image.resize(photographs, (height, width))
    images = np.asarray(keras.ops.convert_to_numpy(resized), "float32")
    return images.mean(axis=-1, keepdims=True) if channels == 1 else images
