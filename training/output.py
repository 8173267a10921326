"""Output directories of runs, which are never mixed, and the plans that lie there."""

import dataclasses
import json
import os
from pathlib import Path

from keras_roots import files

CONFIG = "config.json"
PLAN = "plan.csv"


def claim_directory(directory: str | os.PathLike, config: dict) -> bool:
    """Makes a run's output directory, or finds its own again.

    Args:
        directory: The output directory.
        config: The run's configuration, as JSON knows it; kept as `config.json`.

    Returns:
        Whether the directory held the same run already.

    Raises:
        ValueError: It holds something else.
        OSError: It cannot be made or written.
    """
    directory = Path(directory)
    config = json.loads(json.dumps(config))
    file = directory / CONFIG
    if file.exists():
        found = read_config(directory)
        if found is None:
            raise ValueError(f"`output_dir` has a damaged {str(file)!r}")
        different = sorted(
            key
            for key in {*found, *config}
            if found.get(key, None) != config.get(key, None)
        )
        if different:
            raise ValueError(
                f"`output_dir` {str(directory)!r} holds a run of another "
                "configuration; choose another directory or the same flags. Different: "
                + ", ".join(
                    f"{key} (there {found.get(key)!r}, here {config.get(key)!r})"
                    for key in different
                )
            )
        return True
    if directory.exists() and any(directory.iterdir()):
        raise ValueError(
            f"`output_dir` {str(directory)!r} is not empty and holds no run; choose "
            "another directory"
        )
    directory.mkdir(parents=True, exist_ok=True)
    files.write_text(file, json.dumps(config, indent=2) + "\n")
    return False


def read_config(directory: str | os.PathLike) -> dict | None:
    """Returns the configuration of the run that a directory holds.

    Args:
        directory: The directory.

    Returns:
        What `claim_directory` kept; `None` where it kept nothing, or it is damaged.

    Raises:
        OSError: It cannot be read.
    """
    file = Path(directory, CONFIG)
    try:
        found = json.loads(file.read_text()) if file.exists() else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def release_directory(directory: str | os.PathLike) -> None:
    """Lets a directory go to another run, if this one has left nothing in it.

    Args:
        directory: An output directory that was claimed.
    """
    paths = list(Path(directory).iterdir())
    if [path.name for path in paths] == [CONFIG]:
        paths[0].unlink()


def write_plan(directory: str | os.PathLike, plan) -> None:
    """Writes what a plan makes of each layer as `plan.csv`.

    Args:
        directory: An existing output directory.
        plan: A plan of filter groups or ranks, whose `.layers` are dataclasses.

    Raises:
        OSError: The file cannot be written.
    """
    rows = [dataclasses.asdict(layer) for layer in plan.layers]
    files.write_csv(Path(directory, PLAN), rows)
