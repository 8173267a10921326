import pytest

from keras_roots.training import quickstart


@pytest.mark.slow
def test_the_whole_way_in_short(tmp_path):
    table = quickstart.quickstart(tmp_path, roots=(16,), epochs=1, runs=5)
    _, _, float32, int8, note = table.splitlines()
    assert "93,316,490" in float32
    assert "244,682" in float32
    assert float32.split()[:2] == ["root-16", "float32"]
    assert int8.split()[:2] == ["root-16", "int8"]
    assert "359 test images" in note
    assert {path.name for path in tmp_path.iterdir()} == {
        "root16",
        "root16-float32.tflite",
        "root16-int8.tflite",
    }
