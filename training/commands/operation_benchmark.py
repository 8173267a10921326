"""Profiles of networks and files, operation by operation, for the benchmark."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping
from typing import NamedTuple

from keras_roots import benchmarking, export
from keras_roots.benchmarking import Case, FileProfile, profile_files


class Profiled(NamedTuple):
    """What was profiled, and the profile."""

    case: Case
    profile: FileProfile


@dataclasses.dataclass(frozen=True)
class Row:
    """Time of one operation, for a CSV file.

    Attributes:
        name: Name of the network or file.
        quantize: As in `Case`.
        optimize: As in `Case`, joined by commas.
        threads: Number of threads.
        batch_size: Images per call of a network; files have their own.
        position: Position among what ran.
        operation: LiteRT's name of the operation; empty, like all that follows from it,
            for what XNNPACK adds of its own.
        layer: Name of its layer.
        kernel: As in `OperationTime`, like the rest.
        delegated: Whether it ran on XNNPACK.
        input_shape: Shapes are written as 1x8x8x64.
        kernel_shape: Filters, height, width and input channels per group.
        output_shape: Shape of its output.
        strides: Along height and width.
        groups: Filter groups.
        macs: Multiply-adds of a call.
        weight_bytes: Bytes of its constants.
        ms: Median time in milliseconds.
        share: Part of the time of all operations of the file.
        call_ms: Median time of a whole call.
        runs: Calls profiled.
        processor: Name of the CPU.
        versions: Versions of the packages at work.
    """

    name: str
    quantize: str | None
    optimize: str | None
    threads: int
    batch_size: int
    position: int
    operation: str
    layer: str
    kernel: str
    delegated: bool
    input_shape: str
    kernel_shape: str
    output_shape: str
    strides: str
    groups: int | None
    macs: int
    weight_bytes: int | None
    ms: float
    share: float
    call_ms: float
    runs: int
    processor: str
    versions: str


def profile_cases(
    cases: Mapping[str, Case],
    *,
    runs: int = 20,
    warmup: int = 5,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Profiled]:
    """Profiles networks and files on LiteRT, those of one number of threads in turns.

    Args:
        cases: What to profile.
        runs: Profiled calls of each, at least.
        warmup: Calls before them.
        progress: Called with a line of text after each step.

    Raises:
        ValueError: A case is impossible or for another runtime.
    """
    for case in cases.values():
        benchmarking.check_case(case)
        if case.runtime != "litert":
            raise ValueError(
                "--profile takes --models, LiteRT files and Keras files on "
                f"--runtime=litert. Received: {case.label!r} on {case.runtime}"
            )
    found: dict[str, FileProfile] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for key, case in cases.items():
            files[key] = _file(case, os.path.join(folder, f"{key}.tflite"))
            progress(f"prepared {_name(case)} ({len(files)} of {len(cases)})")
        for threads in dict.fromkeys(case.threads for case in cases.values()):
            own = [key for key, case in cases.items() if case.threads == threads]
            named = {f"{key}: {_name(cases[key])}": files[key] for key in own}
            profiles = profile_files(named, threads, runs, warmup, progress=progress)
            found |= zip(own, profiles, strict=True)
    return [
        Profiled(case, dataclasses.replace(found[key], name=_name(case)))
        for key, case in cases.items()
    ]


def table(profiled: list[Profiled]) -> str:
    """Returns the profiles' tables for the terminal."""
    return "\n\n\n".join(str(each.profile) for each in profiled)


def rows(profiled: list[Profiled]) -> list[Row]:
    """Returns every operation of every profile."""
    return [
        _row(case, profile, position)
        for case, profile in profiled
        for position in range(len(profile.operations))
    ]


def _row(case, profile, position) -> Row:
    time = profile.operations[position]
    operation = time.operation
    return Row(
        name=case.label,
        quantize=case.quantize,
        optimize=case.rewrites,
        threads=case.threads,
        batch_size=case.batch_size,
        position=position,
        operation=operation.name if operation else "",
        layer=operation.layer if operation else "",
        kernel=time.kernel,
        delegated=time.delegated,
        input_shape=_shape(operation and operation.input_shape),
        kernel_shape=_shape(operation and operation.kernel_shape),
        output_shape=_shape(operation and operation.output_shape),
        strides=_shape(operation and operation.strides),
        groups=operation and operation.groups,
        macs=time.macs,
        weight_bytes=operation and operation.weight_bytes,
        ms=time.ms,
        share=time.share,
        call_ms=profile.call_ms,
        runs=profile.runs,
        processor=profile.processor,
        versions=profile.versions,
    )


def _shape(shape) -> str:
    return "" if shape is None else "x".join(map(str, shape))


def _name(case) -> str:
    return " ".join(filter(None, [case.label, case.quantize, case.rewrites]))


def _file(case, path) -> str | os.PathLike:
    """Returns the path of a case's LiteRT file, written to `path` if there is none."""
    model = benchmarking.find_model(case)
    if model is None:
        return case.target
    export.write_for_timing(model, path, case.quantize, case.optimize, case.batch_size)
    return path
