"""Files of a run: written whole or not at all, and never mixed with another run's."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[str]:
    """Yields a temporary name beside `path`, and moves it there if all went well.

    Args:
        path: File to write. Its suffixes stay, since writers go by them.
    """
    path = Path(path)
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield str(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with replacing(path) as temporary:
        Path(temporary).write_text(text)


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
    file = directory / "config.json"
    if file.exists():
        try:
            found = json.loads(file.read_text())
        except ValueError as error:
            raise ValueError(f"`output_dir` has a damaged {str(file)!r}") from error
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
    write_text(file, json.dumps(config, indent=2) + "\n")
    return False
