"""What keras-roots-performance measures: a table of suites."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Collection, Mapping

from keras_roots.export import LATENCY, REWRITES
from keras_roots.models import NetworkName
from keras_roots.training.reports.performance import columns
from keras_roots.training.reports.performance.trial import Trial


@dataclasses.dataclass(frozen=True)
class Grid:
    """Trials: every combination of the values on its axes, the first axis slowest.

    The attributes are those of `Trial`, in its order.
    """

    model: tuple[str, ...]
    side: tuple[int | None, ...] = (None,)
    quantize: tuple[str | None, ...] = (None, "int8")
    optimize: tuple[str | None, ...] = (None, LATENCY)
    runtime: tuple[str, ...] = ("litert",)
    threads: tuple[int, ...] = (1,)
    batch_size: tuple[int, ...] = (1,)

    def trials(self) -> list[Trial]:
        """Returns the trials, in order."""
        axes = dataclasses.astuple(self)
        return [Trial(*combination) for combination in itertools.product(*axes)]


@dataclasses.dataclass(frozen=True)
class Suite:
    """Measurements that answer one question: a CSV file.

    Attributes:
        title: The question.
        grids: What to measure.
        apart: Attributes of `Trial`: trials that differ in one of them are measured
            apart, all others in turns, with the first one as reference.
        columns: Further columns of the results: functions of all rows to their values.
        notes: Function of all rows to lines that sum them up.
        changed_only: Whether to leave out networks that no rewrite changes, though
            one was asked for.
        memory: Numbers of threads with which to measure memory and loading too.
        calls: Timed calls of each network, at most.
        rounds: Turns that they are divided among; as many calls at least.
        warmup: Calls of each before them.
        seconds: Time for the turns of one comparison, about.
    """

    title: str
    grids: tuple[Grid, ...]
    apart: tuple[str, ...]
    columns: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    notes: Callable = lambda rows: []
    changed_only: bool = False
    memory: tuple[int, ...] = ()
    calls: int = 30
    rounds: int = 5
    warmup: int = 3
    seconds: float = 45.0

    def trials(self) -> list[Trial]:
        """Returns the trials, in order."""
        return [trial for grid in self.grids for trial in grid.trials()]

    def quick(self) -> "Suite":
        """Returns a small part, to see that it works; its times mean nothing.

        It has the first and the last of everything, and two calls of each.
        """
        grids = tuple(
            Grid(*map(_ends, dataclasses.astuple(grid))) for grid in _ends(self.grids)
        )
        return dataclasses.replace(self, grids=grids, calls=2, rounds=1, warmup=1)


def _ends(values: tuple) -> tuple:
    return tuple(dict.fromkeys((values[0], values[-1])))


# One thread, and one per core.
_THREADS = tuple(dict.fromkeys((1, os.cpu_count() or 1)))
# The networks of the papers' tables, and the roots that are as accurate as the dense.
_BEST = {"root_resnet50": 64, "root_googlenet": 8, "root_nin": 8}
# Largest power of two that every family takes as its root, the largest networks in the
# middle; AlexNet's groups are those of its paper, the same in all layers.
ROOTS = {
    "root_nin": 32,
    "root_googlenet": 32,
    "root_resnet50": 64,
    "root_resnet200": 64,
    "root_alexnet": 32,
    "root_convnet": 32,
    "root_resnet20": 16,
}
_TOPOLOGIES = {"root_alexnet": "column"}


def _named(family, *roots) -> tuple[str, ...]:
    topology = _TOPOLOGIES.get(family)
    return tuple(str(NetworkName(family, root, topology)) for root in roots)


# Networks that take long to convert are measured only as they should be exported.
_LARGE = ("root_resnet200", "root_alexnet")
_SIDES = (96, 128, 160, 192, 224, 288, 352, 448)
_RESNETS = _named("root_resnet50", 1, 16, 64)
_GOOGLENETS = _named("root_googlenet", 1, 8)
_APPLICATIONS = tuple(
    f"keras.applications.{name}"
    for name in ("ResNet50", "MobileNetV2", "EfficientNetV2B0")
)


def _powers(largest) -> list[int]:
    return [1 << power for power in range(largest.bit_length())]


SUITES = {
    "ratios": Suite(
        "Time of networks with filter groups over that of the dense ones",
        tuple(Grid(_named(family, 1, root)) for family, root in _BEST.items()),
        apart=("family", "quantize"),
        columns={"dense_ratio": columns.dense_ratio},
        memory=(1,),
        calls=50,
    ),
    "rewrites": Suite(
        "Each rewrite before the export alone, and all of them",
        tuple(
            Grid(_named(family, root), optimize=(None, *REWRITES, LATENCY))
            for family, best in _BEST.items()
            for root in (1, best)
        ),
        apart=("model", "quantize"),
        changed_only=True,
    ),
    "groups": Suite(
        "Latency as the filter groups become more",
        tuple(
            Grid(
                _named(family, *_powers(largest)),
                optimize=(LATENCY,) if family in _LARGE else (None, LATENCY),
            )
            for family, largest in ROOTS.items()
        ),
        apart=("family", "quantize"),
        columns={"rise": columns.rise},
        notes=columns.worst_rises,
    ),
    "yardstick": Suite(
        "Beside the networks and the runtimes that one would take instead",
        (
            Grid((*_APPLICATIONS, *_RESNETS, *_GOOGLENETS), threads=_THREADS),
            Grid(
                (_RESNETS[0], _RESNETS[-1], *_GOOGLENETS),
                quantize=(None,),
                optimize=(None,),
                runtime=("onnxruntime", "openvino"),
                threads=_THREADS,
            ),
        ),
        apart=("quantize", "threads"),
        changed_only=True,
        memory=_THREADS,
        seconds=60.0,
    ),
    "sizes": Suite(
        "Latency and memory as the images become larger",
        tuple(
            Grid(_named(family, 1, root), _SIDES, optimize=(LATENCY,))
            for family, root in (("root_googlenet", 8), ("root_resnet50", 64))
        ),
        apart=("family", "quantize"),
        columns={"ms_as_224": columns.ms_as_224},
        memory=(1,),
        calls=20,
    ),
    "batches": Suite(
        "Latency per image as the batches become larger",
        tuple(
            Grid(
                _named(family, 1, root),
                optimize=(LATENCY,),
                threads=_THREADS,
                batch_size=(1, 2, 4, 8, 16, 32),
            )
            for family, root in (("root_nin", 8), ("root_resnet50", 64))
        ),
        apart=("family", "quantize", "threads"),
        columns={"ms_per_image": columns.ms_per_image},
        memory=(1,),
        calls=15,
        rounds=3,
        warmup=1,
    ),
}


def choose(names: Collection[str] | None) -> dict[str, Suite]:
    """Returns suites by name, in the order of `SUITES`; all without names."""
    return {name: SUITES[name] for name in SUITES if not names or name in names}
