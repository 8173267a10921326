"""The quickstart: tables and files of a released network."""

import pytest

from keras_roots.models import NetworkName, released_entry
from keras_roots.training.commands import quickstart


@pytest.mark.slow
def test_the_whole_way(tmp_path):
    text = quickstart.quickstart(tmp_path / "new", ["root_nin:8"], runs=5)
    photographs, table = text.split("\n\n")
    assert len(photographs.splitlines()) == 2 + quickstart.PHOTOGRAPHS
    assert photographs.splitlines()[2].startswith("airplane")
    _, _, float32, int8, note = table.splitlines()
    top1 = released_entry(NetworkName.parse("root_nin:8"), "cifar10")["top1"]
    for line, kind in ((float32, "litert_float32"), (int8, "litert_int8")):
        name, file, sample, stated, macs, params, size, _, ratio = line.split()
        assert (name, file) == ("root_nin:8", f"root_nin_8-{kind}.tflite")
        assert float(sample.rstrip("%")) == pytest.approx(100 * top1[kind], abs=6)
        assert stated == f"{top1[kind]:.2%}"
        assert (macs, params) == ("103,343,498", "314,954")
        path = tmp_path / "new" / file
        assert int(size.replace(",", "")) == path.stat().st_size
        assert ratio == "1.00"
    assert "400 images" in note


def test_networks_that_are_not_released(tmp_path):
    with pytest.raises(ValueError, match="Released for root_nin"):
        quickstart.quickstart(tmp_path / "new", ["root_nin:12"])
    assert not list(tmp_path.iterdir())


def test_binary(run_command, monkeypatch):
    monkeypatch.setattr(quickstart, "quickstart", lambda *values: values)
    done = run_command(quickstart.run, "--models=root_nin:1,root_nin:4")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "('quickstart', ('root_nin:1', 'root_nin:4'))\n"
