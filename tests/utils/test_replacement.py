"""Outputs that appear whole or not at all, and what stands in their way."""

import os
import socket
import stat

import keras
import numpy as np
import pytest

from keras_roots.utils import locks, replacement


def write(path, text="new"):
    with replacement.replacing(path) as temporary, open(temporary, "w") as file:
        file.write(text)


def write_folder(path, name="new", text="123"):
    with replacement.replacing(path, folder=True) as temporary:
        with open(os.path.join(temporary, name), "w") as file:
            file.write(text)


@pytest.fixture(params=[True, False], ids=["exchange", "step aside"])
def exchanges(request, monkeypatch):
    """Whether the system can exchange two folders."""
    if not request.param:
        monkeypatch.setattr(replacement, "_renameat2", lambda: None)
    return request.param


def test_a_file_appears_at_the_end(tmp_path):
    path = tmp_path / "out.keras"
    with replacement.replacing(path) as temporary:
        assert os.path.basename(temporary) == "out.keras"
        with open(temporary, "w") as file:
            file.write("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out.keras"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(KeyError), replacement.replacing(path) as temporary:
        with open(temporary, "w") as file:
            file.write("half")
        raise KeyError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("before", [None, (), ("old", "new")])
def test_a_folder_replaces_a_folder(tmp_path, exchanges, before):
    path = tmp_path / "out"
    if before is not None:
        path.mkdir()
        for name in before:
            (path / name).write_text("old")
    write_folder(path)
    assert os.listdir(path) == ["new"]
    assert (path / "new").read_text() == "123"
    assert os.listdir(tmp_path) == ["out"]


def test_a_failed_folder_is_removed(tmp_path):
    with pytest.raises(KeyError):
        with replacement.replacing(tmp_path / "out", folder=True) as new:
            open(os.path.join(new, "half"), "w").close()
            raise KeyError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["out~", "previous", "x" * 255, "a b\n"])
def test_names_of_any_kind(tmp_path, name):
    write(tmp_path / name)
    write(tmp_path / name, "again")
    assert (tmp_path / name).read_text() == "again"
    assert os.listdir(tmp_path) == [name]


def socket_at(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # the length of whole paths is limited


OBSTACLES = {
    "folder": os.mkdir,
    "file": lambda path: open(path, "w").close(),
    "pipe": getattr(os, "mkfifo", None),
    "socket": socket_at,
}


@pytest.mark.parametrize(
    ("kind", "folder"),
    [(kind, folder) for kind in OBSTACLES for folder in (False, True)],
)
def test_what_is_no_file_or_folder_is_not_replaced(tmp_path, monkeypatch, kind, folder):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out"
    OBSTACLES[kind](path)
    if kind == ("folder" if folder else "file"):
        return
    before = path.stat()
    with pytest.raises(FileExistsError, match=f"must not be an existing {kind}.*out'"):
        with replacement.replacing(path, folder=folder):
            pytest.fail("the work began")
    assert os.path.samestat(before, path.stat())
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full", "link"])
def test_a_device_is_not_replaced(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    os.symlink("/dev/null", "link")
    with pytest.raises(FileExistsError, match="must not be an existing device"):
        write(path)
    assert stat.S_ISCHR(os.stat(path).st_mode)


@pytest.mark.parametrize("name", ["missing/out", "file/out"])
def test_a_folder_that_is_missing(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match="existing folder"):
        with replacement.replacing(tmp_path / name):
            pytest.fail("the work began")


@pytest.mark.parametrize("folder", [False, True])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, folder):
    def refuse(*args):
        raise PermissionError("not allowed")

    monkeypatch.setattr(replacement.os, "mkdir", refuse)
    with pytest.raises(PermissionError, match="`path` must be in a folder that can be"):
        with replacement.replacing(tmp_path / "out", folder=folder):
            pytest.fail("the work began")


@pytest.mark.parametrize("folder", [False, True])
def test_links_are_followed(tmp_path, exchanges, folder):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real", tmp_path / "out"
    (write_folder if folder else write)(target)
    os.symlink(os.path.join("elsewhere", "real"), link)
    if folder:
        write_folder(link, "other")
        assert os.listdir(target) == ["other"]
    else:
        write(link, "other")
        assert target.read_text() == "other"
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "out"]
    assert os.listdir(tmp_path / "elsewhere") == ["real"]


def test_links_to_what_is_not_there(tmp_path):
    os.symlink("new", tmp_path / "out")
    write(tmp_path / "out")
    assert (tmp_path / "new").read_text() == "new"
    os.symlink("missing/new", tmp_path / "far")
    with pytest.raises(FileNotFoundError, match="existing folder.*missing"):
        write(tmp_path / "far")
    os.symlink("circle", tmp_path / "circle")
    with pytest.raises(OSError, match="circle', which cannot be reached: .*symbolic"):
        write(tmp_path / "circle")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_permissions_stay(tmp_path, mode):
    path = tmp_path / "out"
    path.write_text("old")
    path.chmod(mode)
    write(path)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


def test_permissions_of_folders_stay(tmp_path, exchanges):
    write_folder(tmp_path / "out")
    (tmp_path / "out").chmod(0o750)
    write_folder(tmp_path / "out", "other")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


def test_new_files_have_the_permissions_of_new_files(tmp_path):
    open(tmp_path / "plain", "w").close()
    write(tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root gives files away"
)
def test_the_owner_stays(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


def left(folder, *names):
    """A temporary as a killed process leaves it."""
    workshop = folder / f"{replacement._PREFIX}{len(names)}{'-'.join(names)}"
    workshop.mkdir()
    for name in names:
        (workshop / name).mkdir()
        (workshop / name / "content").write_text(name)
    return workshop


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    left(tmp_path, "out")
    left(tmp_path, "other", "more")
    living = left(tmp_path, "third")
    lock = locks.take(living)
    (tmp_path / ".hidden").write_text("mine")
    write(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted([".hidden", living.name, "out"])
    assert replacement.is_leftover(living / "third")
    assert not replacement.is_leftover(tmp_path / ".hidden")
    os.close(lock)
    write(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [".hidden", "out"]


def test_what_only_looks_like_a_temporary_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("out", "out~"):
        (tmp_path / "mine" / name).write_text(name)
    os.symlink("mine", tmp_path / f"{replacement._PREFIX}link")
    (tmp_path / f"{replacement._PREFIX}file").write_text("mine")
    replacement.remove_leftovers(tmp_path)
    assert len(os.listdir(tmp_path)) == 3
    assert sorted(os.listdir(tmp_path / "mine")) == ["out", "out~"]


def test_outputs_within_outputs_leave_each_other_alone(tmp_path):
    with replacement.replacing(tmp_path / "a") as outer:
        with replacement.replacing(tmp_path / "b") as inner:
            open(inner, "w").close()
        with open(outer, "w") as file:
            file.write("outer")
    assert (tmp_path / "a").read_text() == "outer"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    stays = left(tmp_path, "out")
    write(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == [stays.name, "out"]


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_had_stepped_aside(tmp_path, there):
    """A process was killed between the two renamings of a folder."""
    left(tmp_path, "out", "out~")
    if there:
        write_folder(tmp_path / "out", "content", "there")
    replacement.remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["out"]
    found = (tmp_path / "out" / "content").read_text()
    assert found == ("there" if there else "out")


def test_half_an_output_is_not_put_in_its_place(tmp_path):
    left(tmp_path, "out~")
    replacement.remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


def test_copies(tmp_path):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(b"\0\1")
    left(source, "half")
    replacement.copy(source, tmp_path / "folder")
    assert os.listdir(tmp_path / "folder") == ["inner"]
    (tmp_path / "file").write_text("old")
    replacement.copy(tmp_path / "folder" / "inner" / "file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"\0\1"
    with pytest.raises(FileNotFoundError):
        replacement.copy(tmp_path / "missing", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"\0\1"


def test_hdf5_in_memory(tmp_path):
    path = tmp_path / "net-1.5.weights.h5"
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with replacement.replacing(path) as temporary:
        with replacement.buffered(temporary) as file:
            model.save_weights(file)
            assert os.path.getsize(temporary) == 0
    other = keras.models.clone_model(model)
    other.load_weights(path)
    for found, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
