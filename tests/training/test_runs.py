import datetime
import os
import signal

import children
import keras
import pytest

from keras_roots.training import runs


def test_the_same_run_finds_its_directory_again(tmp_path):
    config = {"model": "root_nin", "root": (8, 4), "recipe": {"epochs": 2}}
    assert runs.claim_directory(tmp_path / "run", config) is False
    assert runs.claim_directory(tmp_path / "run", config) is True


def test_another_run_is_refused_and_told_why(tmp_path):
    runs.claim_directory(tmp_path, {"root": 8, "seed": 0})
    with pytest.raises(ValueError, match="root .there 8, here 4."):
        runs.claim_directory(tmp_path, {"root": 4, "seed": 0})
    assert runs.claim_directory(tmp_path, {"root": 8, "seed": 0})


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(ValueError, match="is not empty"):
        runs.claim_directory(tmp_path, {"root": 8})
    assert [file.name for file in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ValueError, match="must be a folder.*file' is a file"):
            runs.claim_directory(path, {"root": 8})


@pytest.mark.parametrize("text", ['{"root"', "[8]", ""])
def test_a_damaged_configuration(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match="damaged"):
        runs.claim_directory(tmp_path, {"root": 8})


def test_a_run_that_left_nothing_makes_room(tmp_path):
    runs.claim_directory(tmp_path, {"root": 8})
    (tmp_path / "log.csv").write_text("")
    runs.release_directory(tmp_path)
    assert runs.claim_directory(tmp_path, {"root": 8})
    (tmp_path / "log.csv").unlink()
    runs.release_directory(tmp_path)
    assert not runs.claim_directory(tmp_path, {"root": 4})


def leave(folder):
    """What a killed process leaves of an output."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".keras_roots-0a1b2c3d").mkdir()
    (folder / ".keras_roots-0a1b2c3d" / "config.json").write_text('{"roo')


def test_a_directory_whose_first_file_was_being_written(tmp_path):
    leave(tmp_path / "run")
    (tmp_path / "run" / "run.lock").write_text("process 1 on 'host' since then")
    assert runs.contents(tmp_path / "run") == []
    with runs.hold_directory(tmp_path / "run"):
        assert not runs.claim_directory(tmp_path / "run", {"root": 8})
    assert os.listdir(tmp_path / "run") == ["config.json"]
    leave(tmp_path / "run")
    assert runs.claim_directory(tmp_path / "run", {"root": 8})
    assert os.listdir(tmp_path / "run") == ["config.json"]
    leave(tmp_path / "run" / "stage")
    runs.release_directory(tmp_path / "run")
    assert os.listdir(tmp_path / "run") == []


def test_a_directory_is_held_by_one_process(tmp_path):
    folder = tmp_path / "a" / "run"

    def hold():
        with runs.hold_directory(folder):
            print("held")
            signal.pause()

    with children.started(hold) as (child, output):
        assert output.readline() == "held\n"
        for argument in ("`output_dir`", "`zoo`"):
            text = f"{argument} '.*run' is in use by process {child} on .*: wait until"
            with pytest.raises(ValueError, match=text):
                with runs.hold_directory(folder, argument):
                    pytest.fail("it is held")
        assert runs.read_config(folder) is None
    with runs.hold_directory(folder):
        pass
    assert os.listdir(folder) == []


def test_a_held_directory_without_anything_in_it_is_not_left(tmp_path):
    with runs.hold_directory(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert os.listdir(tmp_path) == []
    with runs.hold_directory(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").write_text("")
    assert os.listdir(tmp_path / "a") == ["file"]
    with pytest.raises(ValueError, match="`zoo` must be a folder"):
        with runs.hold_directory(tmp_path / "a" / "file", "`zoo`"):
            pytest.fail("it is a file")


def test_a_library_call_has_no_command():
    found = runs.describe()
    assert found["command"] is None
    assert found["hardware"].endswith(f", {os.cpu_count()} CPUs")
    assert f"keras {keras.__version__}" in found["versions"]
    assert datetime.date.fromisoformat(found["date"]) <= datetime.date.today()


def test_the_command_of_a_binary_is_named(monkeypatch):
    monkeypatch.setattr(runs, "_COMMAND", [None])
    runs.record_command("keras-roots-train --root=8,4")
    assert runs.describe()["command"] == "keras-roots-train --root=8,4"


def test_a_file_of_a_run_knows_its_data_set(tmp_path):
    runs.claim_directory(tmp_path / "run", {"dataset": "cifar10", "seed": 0})
    earlier = {"baseline": {"dataset": "digits", "start": {"from": None}}}
    runs.claim_directory(tmp_path / "old" / "force", earlier)
    (tmp_path / "plain").mkdir()
    for folder, expected in (
        ("run", "cifar10"),
        ("old/force", "digits"),
        ("plain", None),
        ("missing", None),
    ):
        assert runs.data_set_of(tmp_path / folder / runs.MODEL) == expected


@pytest.mark.parametrize(
    "text", ["{", "[]", "[" * 100_000, '{"a":' * 300 + "1" + "}" * 300]
)
def test_a_configuration_that_is_none(text, tmp_path):
    (tmp_path / runs.CONFIG).write_text(text)
    assert runs.read_config(tmp_path) is None
    assert runs.data_set_of(tmp_path / runs.MODEL) is None
