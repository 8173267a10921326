"""Checksums at the end of files."""

import hashlib

import h5py
import numpy as np
import pytest

from keras_roots.utils.checksums import append_checksum, verify_checksum


@pytest.fixture(params=[0, 10, 5000, 3 * 2**20])
def content(request):
    return np.random.default_rng(0).bytes(request.param)


def test_a_file_and_its_checksum(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not verify_checksum(path)
    append_checksum(path, "text")
    assert verify_checksum(path)
    assert verify_checksum(path, "text")
    with pytest.raises(ValueError, match="belongs to another text"):
        verify_checksum(path, "texts")
    written = path.read_bytes()
    assert written.startswith(content)
    text = hashlib.sha256(b"text").hexdigest().encode()
    digest = hashlib.sha256(text + content).hexdigest().encode()
    assert written.count(b"\nkeras_roots sha256 " + digest + b" " + text + b"\n") == 2


def test_every_bit_counts(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content of a file")
    append_checksum(path)
    whole = path.read_bytes()
    for place in (*range(180), *range(180, len(whole), 97), len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="file' (is not what|is damaged)|the end"):
            verify_checksum(path)


@pytest.mark.parametrize("size", [100, 4096])
def test_a_page_of_zeros_does_not_hide_the_checksum(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(1, 256)) * 40)
    append_checksum(path)
    whole = path.read_bytes()
    gap = whole.index(bytes(4096))
    for start in range(0, len(whole), 64):
        damaged = whole[:start] + bytes(size) + whole[start + size :]
        damaged = damaged[: len(whole)]
        if damaged == whole:
            assert gap <= start <= start + size <= gap + 4096
            continue
        path.write_bytes(damaged)
        with pytest.raises(ValueError):
            verify_checksum(path)


def test_a_file_that_is_cut_is_damaged_or_has_no_checksum(tmp_path):
    path = tmp_path / "file"
    content = b"content of a file"
    path.write_bytes(content)
    append_checksum(path)
    whole = path.read_bytes()
    for length in (*range(350), *range(350, len(whole) - 200, 99), *range(-200, 0)):
        length %= len(whole)
        path.write_bytes(whole[:length])
        try:
            assert not verify_checksum(path)
        except ValueError:
            assert length > len(content)


def test_hdf5_files_are_read_as_before(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["a/b"] = np.arange(5)
    append_checksum(path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["a/b"], np.arange(5))
    assert verify_checksum(path)
