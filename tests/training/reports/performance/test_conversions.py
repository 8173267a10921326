"""Networks as files, each converted once."""

import pytest

from keras_roots import create_model, profile
from keras_roots.training.reports.performance import conversions
from keras_roots.training.reports.performance.trial import Trial


def test_equal_conversions_share_a_file(tmp_path):
    wanted = [
        Trial("root_convnet:1", optimize=optimize, side=side, batch_size=size)
        for optimize, side, size in (
            (None, None, 1),
            ("merge_projections", None, 1),
            (None, None, 3),
            (None, 16, 1),
        )
    ]
    plain, same, batch, small = conversions.convert(wanted, tmp_path, 1).values()
    assert plain == same and len({plain.path, batch.path, small.path}) == 3
    assert plain.changes == {} and (plain.side, small.side) == (32, 16)
    model = create_model(
        "root_convnet",
        root=1,
        input_shape=(16, 16, 3),
        include_top=False,
        pooling="avg",
    )
    assert (small.macs, small.params) == (profile(model).macs, profile(model).params)


def test_files_are_kept_and_found_again(tmp_path, monkeypatch):
    wanted = [Trial("root_convnet:1"), Trial("root_convnet:1", batch_size=2)]
    found = conversions.convert(wanted[:1], tmp_path, 1)
    moved = tmp_path.rename(f"{tmp_path}-moved")
    said = []
    again = conversions.convert(wanted, moved, 1, said.append)
    assert again[wanted[0]].macs == found[wanted[0]].macs
    assert again[wanted[0]].path == str(
        moved / "root_convnet-1-float32-plain-x1.tflite"
    )
    assert said[-1].startswith("converted 1 of 1 after")
    monkeypatch.setattr(conversions, "convert_network", lambda *_, **__: 1 / 0)
    assert conversions.convert(wanted, moved, 1) == again
    (moved / "root_convnet-1-float32-plain-x1.tflite").unlink()
    assert list(conversions.read_index(moved)) == wanted[1:]


def test_files_that_are_no_longer_needed_are_removed(tmp_path):
    wanted = [Trial("root_convnet:1"), Trial("root_convnet:2")]
    found = conversions.convert(wanted, tmp_path, 1)
    (tmp_path / "log").write_text("")
    conversions.keep_only(tmp_path, [*wanted[1:], Trial("root_convnet:4")])
    assert conversions.read_index(tmp_path) == {wanted[1]: found[wanted[1]]}
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_several_networks_at_once(tmp_path):
    wanted = [Trial("root_convnet:1"), Trial("root_convnet:64")]
    said = []
    found = conversions.convert(wanted, tmp_path, 2, said.append)
    assert (tmp_path / "log").exists()
    assert open(found[wanted[0]].path, "rb").read(8)[4:] == b"TFL3"
    assert list(found) == wanted[:1]
    assert any("Roots that work" in line for line in said)
    assert said[-1].startswith("converted 2 of 2 after")
