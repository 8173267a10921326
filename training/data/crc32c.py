"""CRC-32C, the checksum in TFRecord files, of many byte strings at once.

It is linear: with a register that starts at zero, the checksum of a string is the sum
(exclusive or) of what each byte adds by its distance from the end. Strings are cut into
blocks; a table has what a byte adds in each place of a block, and the blocks' sums are
moved to their places by tables for powers of two of blocks.
"""

import functools
from collections.abc import Sequence

import numpy as np

_BLOCK = 256  # bytes
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_START = b"Td\x1fd"  # brings a register of zeros to that of all ones
_CHUNK = 4096  # blocks that are summed at a time
_ZEROS = bytes(_BLOCK)


def crc32c(parts: Sequence[bytes]) -> np.ndarray:
    """Returns the CRC-32C of each of several byte strings, uint32 `(parts,)`.

    Args:
        parts: Byte strings, or views of them.
    """
    if not parts:
        return np.zeros(0, "uint32")
    sizes = np.array([len(part) + len(_START) for part in parts])
    counts = -(-sizes // _BLOCK)
    padded = []
    for part, empty in zip(parts, counts * _BLOCK - sizes, strict=True):
        padded += [_ZEROS[:empty], _START, part]  # zeros in front add nothing
    blocks = np.frombuffer(b"".join(padded), "uint8").reshape(-1, _BLOCK)
    sums = np.concatenate(
        [
            _sum(blocks[start : start + _CHUNK])
            for start in range(0, len(blocks), _CHUNK)
        ]
    )
    ends = np.cumsum(counts)
    behind = np.repeat(ends, counts) - np.arange(1, len(blocks) + 1)
    for power in range(int(behind.max()).bit_length()):
        far = np.flatnonzero(behind >> power & 1)
        sums[far] = _move(sums[far], _moves(power))
    return ~np.bitwise_xor.reduceat(sums, ends - counts)


def masked(checksums: np.ndarray) -> np.ndarray:
    """Returns checksums as TFRecord files hold them: rotated, and a constant added."""
    return (checksums >> 15 | checksums << 17) + np.uint32(0xA282EAD8)


def _sum(blocks) -> np.ndarray:
    columns = np.ascontiguousarray(blocks.T)
    total = np.zeros(len(blocks), "uint32")
    for column, table in zip(columns, _places(), strict=True):
        total ^= table[column]
    return total


@functools.cache
def _bytes() -> np.ndarray:
    """What the register becomes, `(256,)`, from a byte that enters one of zeros."""
    table = np.arange(256, dtype="uint32")
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return table


def _next(registers) -> np.ndarray:
    """Lets a byte of zeros enter."""
    return _bytes()[registers & 255] ^ registers >> 8


@functools.cache
def _places() -> np.ndarray:
    """What each byte in each place of a block adds to its sum, `(block, 256)`."""
    tables = [_bytes()]
    for _ in range(_BLOCK - 1):
        tables.append(_next(tables[-1]))
    return np.stack(tables[::-1])


@functools.cache
def _moves(power: int) -> np.ndarray:
    """What `2 ** power` blocks of zeros make of the register's four bytes."""
    if power:
        half = _moves(power - 1)
        return _move(half, half)
    tables = np.arange(256, dtype="uint32") << np.uint32([[0], [8], [16], [24]])
    for _ in range(_BLOCK):
        tables = _next(tables)
    return tables


def _move(registers, tables) -> np.ndarray:
    moved = tables[0][registers & 255]
    for index in (1, 2, 3):
        moved = moved ^ tables[index][registers >> np.uint32(8 * index) & 255]
    return moved
