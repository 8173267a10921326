"""Disks that are full, as one line."""

import errno
import gc
import os
import zipfile
from pathlib import Path

import children
import pytest

from keras_roots.utils import files, full_disks, replacement

try:
    import resource
except ImportError:  # Windows
    resource = None

# Each writes 400 kB where 100 kB are allowed, as on a small disk.
WRITERS = {
    "text": lambda path: Path(path).write_text("x" * 400_000),
    "zipfile": lambda path: zip_file(path),
    "rows": lambda path: files.write_csv(path, [{"a": "x" * 400_000}]),
}


def zip_file(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("member", bytes(400_000))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limits of files")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_one_line(tmp_path, write):
    path = tmp_path / "out"
    path.write_text("old")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with replacement.replacing(path) as temporary:
                write(temporary)
        except OSError as error:
            print(error.errno, error)
        gc.collect()

    text = "`path` cannot be written: File too large. Received: path="
    assert children.run(limited) == f"{errno.EFBIG} {text}{str(path)!r}\n"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_other_errors_stay_as_they_are(tmp_path):
    for error in (ValueError("File too large"), OSError(errno.EIO, "broken")):
        with pytest.raises(type(error)) as found:
            with replacement.replacing(tmp_path / "out"):
                raise error
        assert found.value is error


def test_another_disk_that_is_full_is_named(tmp_path):
    with pytest.raises(OSError, match=r"`path` cannot be written: No space.*/tmp/x/y"):
        with replacement.replacing(tmp_path / "out"):
            raise RuntimeError("/tmp/x/y; No space left on device [Op:SaveV2]")


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        NO_SPACE,
        OSError("Can't write data (file write failed: errno = 28, error message = ''"),
        RuntimeError("{{function_node SaveV2}} ; No space left on device [Op:SaveV2]"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_words_of_libraries(error):
    found = full_disks.as_error(error, "net.keras", "folder")
    assert found.errno in (errno.ENOSPC, errno.EDQUOT)
    assert str(found) == (
        f"`path` cannot be written: {os.strerror(found.errno)}. "
        "Received: path='net.keras'"
    )


def test_a_cause_counts():
    error = RuntimeError("saving failed")
    error.__cause__ = NO_SPACE
    assert full_disks.as_error(error, "net.keras", "folder").errno == errno.ENOSPC
