"""Locks of files and folders, within a process and between processes."""

import contextlib
import os
import re
import signal

import children
import pytest

from keras_roots.utils import locks

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="there are no locks")


def take(path):
    try:
        lock = locks.take(path)
    except BlockingIOError:
        return False
    os.close(lock)
    return True


@pytest.mark.parametrize("folder", [False, True])
def test_one_at_a_time(tmp_path, folder):
    path = tmp_path / "x"
    path.mkdir() if folder else path.write_text("")
    lock = locks.take(path)
    assert not take(path)
    os.close(lock)
    assert take(path)


def test_what_is_gone_meanwhile_is_not_locked(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text("")
    flock = locks.fcntl.flock

    def slow(*args):
        flock(*args)
        path.unlink()
        path.write_text("another")

    monkeypatch.setattr(locks.fcntl, "flock", slow)
    with pytest.raises(FileNotFoundError):
        locks.take(path)


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(locks.errno.ENOLCK, "no locks")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    assert locks.take(tmp_path) is None
    with locks.lock_file(tmp_path / "lock"):
        pass
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(locks, "fcntl", None)
    assert locks.take(tmp_path) is None
    with locks.lock_file(tmp_path / "lock"):
        assert os.listdir(tmp_path) == []


def test_a_process_shares_its_lock_file(tmp_path):
    path = tmp_path / "lock"
    with locks.lock_file(path):
        with locks.lock_file(os.path.relpath(path)):
            assert not take(path)
        assert not take(path)
        assert re.fullmatch(
            rf"process {os.getpid()} on '.*' since \d{{4}}-\d\d-\d\d .* UTC\n",
            path.read_text(),
        )
    assert os.listdir(tmp_path) == []


def hold(path, end=signal.pause):
    """Function that holds a lock file, in a process of its own, until it is killed."""

    def run():
        try:
            with locks.lock_file(path):
                print("held")
                end()
        except BlockingIOError as error:
            print(error)

    return run


def test_two_processes(tmp_path):
    path = tmp_path / "lock"
    with children.started(hold(path)) as (first, output):
        assert output.readline() == "held\n"
        said = children.run(hold(path))
        assert re.fullmatch(rf"process {first} on '.+' since .* UTC\n", said)
        with pytest.raises(BlockingIOError, match=f"process {first} on"):
            with locks.lock_file(path):
                pytest.fail("it is held")
    # It was killed, and holds nothing any more.
    assert f"process {first} " in path.read_text()
    with locks.lock_file(path):
        assert f"process {os.getpid()} " in path.read_text()
    assert os.listdir(tmp_path) == []


def test_a_process_that_ends_leaves_no_lock_file(tmp_path):
    assert children.run(hold(tmp_path / "lock", end=lambda: None)) == "held\n"
    assert os.listdir(tmp_path) == []


def test_many_processes_one_at_a_time(tmp_path):
    """They wait in a circle, and a lock file that is removed is never held."""

    def work():
        for _ in range(30):
            with contextlib.suppress(BlockingIOError), locks.lock_file(path):
                alone = tmp_path / "alone"
                alone.mkdir()
                alone.rmdir()

    path = tmp_path / "lock"
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(children.started(work)) for _ in range(4)]
        assert [output.read() for _, output in started] == [""] * 4


OTHERS = {
    "folder": os.mkdir,
    "pipe": lambda path: os.mkfifo(path),
    "link": lambda path: os.symlink("mine", path),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_only_a_file_is_a_lock_file(tmp_path, make):
    (tmp_path / "mine").write_text("mine")
    make(tmp_path / "lock")
    with pytest.raises(FileExistsError, match="must be a file, no link.*lock'"):
        with locks.lock_file(tmp_path / "lock"):
            pytest.fail("it is none")
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["lock", "mine"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_a_holder_that_is_not_named(tmp_path, content):
    (tmp_path / "lock").write_bytes(content)
    lock = locks.take(tmp_path / "lock")
    with pytest.raises(BlockingIOError, match="another process"):
        with locks.lock_file(tmp_path / "lock"):
            pytest.fail("it is held")
    os.close(lock)


def test_a_folder_that_cannot_be_written_has_no_lock(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(locks.errno.EROFS, "read-only")

    monkeypatch.setattr(locks, "_take_file", refuse)
    with locks.lock_file(tmp_path / "lock"):
        pass


def test_an_error_within_is_not_one_of_the_lock(tmp_path):
    with pytest.raises(PermissionError, match="mine"):
        with locks.lock_file(tmp_path / "lock"):
            raise PermissionError("mine")
    assert os.listdir(tmp_path) == []
