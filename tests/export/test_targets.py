"""Tiles of processors, and the cost of a convolution on them."""

import pytest

from keras_roots.export import targets
from keras_roots.export.targets import Tile, cost


@pytest.mark.parametrize(
    ("tile", "arguments", "expected"),
    [
        (Tile(8, 1), (9, 4, 8), 8 * 9 * 4.5),
        (Tile(8, 1), (9, 4, 9), 16 * 9 * 4.5),
        (Tile(16, 8), (9, 4, 16, 3), 3 * 16 * 9 * 12),
        (Tile(16, 8), (1, 9, 1), 16 * 20),
        (Tile(32, 1, narrow=16), (1, 1, 16), 16 * 1.5),
        (Tile(32, 1, narrow=16), (1, 1, 17), 32 * 1.5),
    ],
)
def test_channels_and_filters_fill_whole_tiles(tile, arguments, expected):
    assert cost(tile, *arguments) == expected


@pytest.mark.parametrize("known", [("avx512", "int8"), ("neon", "float32")])
def test_known_targets(known):
    targets.check(*known)


@pytest.mark.parametrize("unknown", [("sse", "int8"), ("avx2", "int4")])
def test_unknown_targets(unknown):
    with pytest.raises(ValueError, match="must be one of .*Received: "):
        targets.check(*unknown)
