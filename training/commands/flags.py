"""Flags that several binaries share, and how a binary starts.

absl flags are global and may be defined once, so the shared ones are defined here, on
demand, from one table.
"""

import shlex
import sys
from collections.abc import Callable, Sequence

from absl import app, flags

from keras_roots.training import runs

FLAGS = flags.FLAGS
_LAUNCHED: list[str] = []  # the binary and the names of its flags
_LOCAL = ("data_dir",)

# Flags of every binary that trains.
TRAINING = (
    "model",
    "root",
    "topology",
    "weights",
    "dataset",
    "data_dir",
    "image_size",
    "output_dir",
    "batch_size",
    "seed",
    "holdout",
    "distribution",
)


class _RootParser(flags.ArgumentParser):
    """Parses `8` to 8 and `8,4` to (8, 4)."""

    syntactic_help = "an integer, or one per stage separated by commas"

    def parse(self, argument):
        if isinstance(argument, int | tuple):
            return argument
        try:
            counts = tuple(int(part) for part in argument.split(","))
        except ValueError:
            raise ValueError(
                f"must be {self.syntactic_help}, such as 8 or 8,4. "
                f"Received: {argument!r}"
            ) from None
        return counts if len(counts) > 1 else counts[0]

    def flag_type(self):
        return "root"


class _RootSerializer(flags.ArgumentSerializer):
    """Writes a root as `_RootParser` reads it."""

    def serialize(self, value):
        return str(value) if isinstance(value, int) else ",".join(map(str, value))


def define_root(name: str, default: int, text: str) -> None:
    """Defines a flag for the filter groups of a first stage, or of every stage.

    Args:
        name: Name of the flag.
        default: Its default.
        text: What `--help` says of it.
    """
    flags.DEFINE(_RootParser(), name, default, text, serializer=_RootSerializer())


_SHARED: dict[str, Callable[[], object]] = {
    "from": lambda: flags.DEFINE_string(
        "from",
        None,
        "A .keras file to take instead of building --model. For compress and rootify "
        "also keras.applications.NAME, with its ImageNet weights; except for "
        "imagenet2012 its head is new and random: the baseline of keras-roots-compress "
        "trains it, for --epochs.",
    ),
    "model": lambda: flags.DEFINE_string(
        "model", "root_nin", "Model to build; keras_roots.list_models() names them."
    ),
    "root": lambda: define_root(
        "root",
        1,
        "Filter groups of the first stage (1: the dense network), or the groups of "
        "every stage, separated by commas.",
    ),
    "topology": lambda: flags.DEFINE_enum(
        "topology",
        "root",
        ["root", "column", "tree"],
        "Whether groups halve, stay or double from stage to stage.",
    ),
    "weights": lambda: flags.DEFINE_string(
        "weights",
        None,
        "Weights to start from: the data set of released weights (cifar10) or a file.",
    ),
    "dataset": lambda: flags.DEFINE_string(
        "dataset",
        "digits",
        "digits, cifar10-sample (embedded), cifar10, imagenette/160px-v2, imagenet2012 "
        "(TensorFlow Datasets), an .npz file, or a folder with a folder of images per "
        "class, optionally under train/ and validation/.",
    ),
    "data_dir": lambda: flags.DEFINE_string(
        "data_dir", None, "Where TensorFlow Datasets keeps its data sets."
    ),
    "image_size": lambda: flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width of the images, in pixels; by default the model's own.",
        lower_bound=1,
    ),
    "output_dir": lambda: flags.DEFINE_string(
        "output_dir", None, "Folder for everything this run writes."
    ),
    "batch_size": lambda: flags.DEFINE_integer(
        "batch_size", None, "Images per step, over all devices.", lower_bound=1
    ),
    "threads": lambda: flags.DEFINE_integer(
        "threads", 1, "Threads of the LiteRT runtime.", lower_bound=1
    ),
    "seed": lambda: flags.DEFINE_integer(
        "seed", 0, "Seed of everything random.", lower_bound=0
    ),
    "holdout": lambda: flags.DEFINE_integer(
        "holdout",
        0,
        "Training images to hold out and evaluate on instead of the test images.",
        lower_bound=0,
    ),
    "distribution": lambda: flags.DEFINE_enum(
        "distribution",
        "mirrored",
        ["mirrored", "one_device"],
        "tf.distribute strategy: mirrored over all local devices, or one device.",
    ),
    "deterministic": lambda: flags.DEFINE_bool(
        "deterministic",
        False,
        "Whether the same run gives the same weights, bit for bit.",
    ),
    "csv": lambda: flags.DEFINE_string(
        "csv", None, "File to write the table to as well."
    ),
}


def define(*names: str) -> None:
    """Defines shared flags, each unless another binary has defined it already."""
    for name in names:
        if name not in FLAGS:
            _SHARED[name]()


def launch(main: Callable, doc: str, names: Sequence[str]) -> None:
    """Parses the command line and runs a binary.

    Args:
        main: Function of the arguments that are left.
        doc: What `--help` prints first.
        names: The binary's own flags, which `--help` lists.
    """
    for name in names:
        FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[name])
    sys.modules["__main__"].__doc__ = doc
    binary = main.__module__.rpartition(".")[2].replace("_", "-")
    _LAUNCHED[:] = [f"keras-roots-{binary}", *names]
    app.run(lambda argv: _guarded(main, argv))


def command() -> str | None:
    """Returns the command line that started this process.

    Without `--data_dir`, which differs from machine to machine.

    Returns:
        The name of the binary and the flags that were given, ready for a shell; `None`
        if no binary was launched.
    """
    if not _LAUNCHED:
        return None
    binary, *names = _LAUNCHED
    given = [name for name in names if FLAGS[name].present and name not in _LOCAL]
    return shlex.join([binary, *(FLAGS[name].serialize() for name in given)])


def _guarded(main, argv):
    """Turns what a user can put right into one line without a traceback."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
    runs.quiet()
    runs.record_command(command())
    try:
        main(argv)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
