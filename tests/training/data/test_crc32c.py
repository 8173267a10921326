"""CRC-32C, against published values, a bit at a time, and what TensorFlow writes."""

import numpy as np
import pytest

from keras_roots.training.data.crc32c import crc32c, masked


def bit_by_bit(text):
    register = 0xFFFFFFFF
    for byte in text:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
        (bytes(32), 0x8A9136AA),
        (bytes([255]) * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_published_values(text, expected):
    assert crc32c([text]).tolist() == [expected]


def test_strings_of_all_lengths_together():
    rng = np.random.default_rng(0)
    sizes = [*range(10), *range(250, 262), 1000, 3000, 40_000, 0, 1]
    texts = [rng.bytes(size) for size in sizes]
    views = [memoryview(text) if len(text) % 2 else text for text in texts]
    assert crc32c(views).tolist() == [bit_by_bit(text) for text in texts]
    assert len(crc32c([])) == 0


def test_more_than_is_summed_at_a_time():
    text = np.random.default_rng(1).bytes(5000 * 256)
    halves = crc32c([text, text[:-1], text])
    assert halves[0] == halves[2] != halves[1]
    zeros = bytes(3 * 2**20)
    assert crc32c([zeros])[0] == bit_by_bit_of_zeros(len(zeros))


def bit_by_bit_of_zeros(count):
    """The same by squaring: a register after zeros is a matrix times the register."""
    step = [1 << bit - 1 if bit else 0x82F63B78 for bit in range(32)]

    def apply(matrix, register):
        found = 0
        for bit in range(32):
            if register >> bit & 1:
                found ^= matrix[bit]
        return found

    register, steps = 0xFFFFFFFF, 8 * count
    while steps:
        if steps & 1:
            register = apply(step, register)
        step = [apply(step, column) for column in step]
        steps >>= 1
    return register ^ 0xFFFFFFFF


def test_as_tensorflow_writes_it(tmp_path):
    tf = pytest.importorskip("tensorflow")
    record = np.random.default_rng(2).bytes(777)
    with tf.io.TFRecordWriter(str(tmp_path / "one")) as writer:
        writer.write(record)
    content = (tmp_path / "one").read_bytes()
    found = masked(crc32c([content[:8], record])).astype("<u4")
    assert found[0].tobytes() == content[8:12]
    assert found[1].tobytes() == content[-4:]
