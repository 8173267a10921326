"""JSON: what is too large, too deep or none."""

import json

import pytest

from keras_roots.utils import json_files


@pytest.mark.parametrize("value", [{"a": [1, "größe", None]}, [], 0.5, [[[]]] * 3])
def test_json_is_read(value, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    assert json_files.read_json(path) == value
    assert json_files.parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("depth", [201, 900, 100_000])
@pytest.mark.parametrize("ends", [("[", "]"), ('{"a":', "}")])
def test_deep_json_is_an_error_of_one_line(depth, ends, tmp_path):
    path = tmp_path / "deep.json"
    path.write_text(f"{ends[0] * depth}1{ends[1] * depth}")
    with pytest.raises(ValueError, match=r"^--zoo must be a JSON .* at most 200 deep$"):
        json_files.read_json(path, "--zoo")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{", b"\x80"])
def test_what_is_no_json(content, tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="`path` must be a JSON file. Received: '/"):
        json_files.read_json(path)


def test_large_json_is_not_read(tmp_path):
    path = tmp_path / "large.json"
    with open(path, "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="at most 67,108,864 bytes, not 1,099,511,627"):
        json_files.read_json(path)
