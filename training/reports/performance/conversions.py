"""Networks as files to measure: each converted once, several at a time."""

import dataclasses
import functools
import gc
import json
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from pathlib import Path

from keras_roots import export, utils
from keras_roots.profiling import profile
from keras_roots.training.networks import parse_model
from keras_roots.training.reports.performance.trial import Trial
from keras_roots.training.runs import quiet

INDEX = "index.json"
# Converting AlexNet or ResNet-200 takes 5 GB.
_MOST_PROCESSES = 2


@dataclasses.dataclass(frozen=True)
class Converted:
    """A converted network.

    Attributes:
        path: The file.
        macs: Multiply-adds per image of the network as it was built.
        params: Its weights and biases.
        side: Height and width of its images.
        changes: Number of layers that each rewrite changed, if any.
    """

    path: str
    macs: int
    params: int
    side: int
    changes: dict[str, int]


def convert(
    trials: Iterable[Trial],
    folder: str | os.PathLike,
    processes: int | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[Trial, Converted]:
    """Converts networks; trials with the same result share a file.

    Args:
        trials: The networks, and how they run.
        folder: Where to write the files and their index. Files that it holds already
            are taken as they are.
        processes: How many work at once; by default one per core, 2 at most. 1 converts
            in this process.
        progress: Called with a line of text after each network, and for each
            conversion that is impossible.

    Returns:
        The files that are possible, by the `conversion` of the trials.
    """
    conversions = list(dict.fromkeys(trial.conversion for trial in trials))
    found = read_index(folder)
    networks: dict[tuple, list[Trial]] = {}
    for conversion in conversions:
        if conversion not in found:
            key = conversion.model, conversion.side
            networks.setdefault(key, []).append(conversion)
    done, total = 0, sum(map(len, networks.values()))
    start = time.perf_counter()
    for result in _results(list(networks.values()), os.fspath(folder), processes):
        for conversion, file in result.items():
            if isinstance(file, Converted):
                found[conversion] = file
            else:
                progress(f"cannot convert {conversion}: {file}")
        _write_index(folder, found)
        done += len(result)
        elapsed = time.perf_counter() - start
        progress(
            f"converted {done} of {total} after {elapsed:.0f} s, "
            f"about {elapsed / done * (total - done):.0f} s to go"
        )
    return {key: found[key] for key in conversions if key in found}


def read_index(folder: str | os.PathLike) -> dict[Trial, Converted]:
    """Returns the files that a folder holds, by conversion."""
    path = Path(folder, INDEX)
    entries = utils.read_json(path) if path.exists() else []
    index = {}
    for entry in entries:
        file = Path(folder, entry["file"]["path"])
        if file.exists():
            converted = Converted(**entry["file"] | {"path": os.fspath(file)})
            index[Trial(**entry["conversion"])] = converted
    return index


def keep_only(folder: str | os.PathLike, trials: Iterable[Trial]) -> None:
    """Removes from a folder the files that none of the trials needs."""
    needed = {trial.conversion for trial in trials}
    index = read_index(folder).items()
    kept = {os.path.basename(file.path) for key, file in index if key in needed}
    for path in Path(folder).iterdir():
        if path.name not in kept | {INDEX} and not utils.is_leftover(path.name):
            path.unlink()


def _write_index(folder, index):
    entries = [
        {
            "conversion": dataclasses.asdict(conversion),
            "file": dataclasses.asdict(file) | {"path": os.path.basename(file.path)},
        }
        for conversion, file in index.items()
    ]
    utils.write_text(Path(folder, INDEX), json.dumps(entries, indent=1) + "\n")


def _results(networks, folder, processes) -> Iterator[dict]:
    processes = processes or min(os.cpu_count() or 1, _MOST_PROCESSES)
    convert_one = functools.partial(convert_network, folder=folder)
    if min(processes, len(networks)) <= 1:
        yield from map(convert_one, networks)
        return
    # A process that TensorFlow runs in must not be forked.
    spawn = multiprocessing.get_context("spawn")
    log = os.path.join(folder, "log")
    with futures.ProcessPoolExecutor(processes, spawn, _start, (log,)) as pool:
        for done in futures.as_completed(
            [pool.submit(convert_one, network) for network in networks]
        ):
            yield done.result()


def _start(log):
    """Sends the messages of TensorFlow's converter to a file."""
    quiet()
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)


def convert_network(
    conversions: Sequence[Trial], folder: str
) -> dict[Trial, Converted | str]:
    """Converts one network in several ways.

    Args:
        conversions: Trials of the same model and side.
        folder: As for `convert`.

    Returns:
        For each conversion, the file, or the reason why there is none.
    """
    gc.collect()  # A model is full of cycles, and the next one takes as much memory.
    try:
        model = parse_model(conversions[0].model, **_arguments(conversions[0].side))
        counts = profile(model)
        known = (counts.macs, counts.params, export.image_shape(model)[0])
    except ValueError as error:
        return dict.fromkeys(conversions, str(error))
    rewrite = functools.cache(functools.partial(export.rewrite, model))
    found = {}
    for conversion in conversions:
        dtype = export.QUANTIZATIONS[conversion.quantize][1]
        rewritten, changes = rewrite(conversion.optimize, dtype)
        path = os.path.join(folder, _file_name(conversion, changes))
        try:
            if not os.path.exists(path):
                _write(rewritten, conversion, path)
        except ValueError as error:
            found[conversion] = str(error)
            continue
        changed = {name: len(layers) for name, layers in changes.items()}
        found[conversion] = Converted(path, *known, changed)
    return found


def _arguments(side) -> dict:
    if side is None:
        return {}
    return {"input_shape": (side, side, 3), "include_top": False, "pooling": "avg"}


def _write(model, conversion, path) -> None:
    with utils.replacing(path) as temporary:
        if conversion.runtime == "keras":
            model.save(temporary)
            return
        export.write_for_timing(
            model, temporary, conversion.quantize, batch_size=conversion.batch_size
        )


def _file_name(conversion, changes) -> str:
    parts = (
        conversion.model,
        str(conversion.side or ""),
        conversion.quantize or "float32",
        "+".join(changes) or "plain",
        f"x{conversion.batch_size}",
    )
    suffix = ".keras" if conversion.runtime == "keras" else ".tflite"
    return re.sub(r"[^\w+]+", "-", "-".join(parts)) + suffix
