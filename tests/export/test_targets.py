"""Tiles of processors, and the cost of a convolution on them."""

import io
import platform
import subprocess

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


@pytest.mark.parametrize("known", [("avx512", "int8"), ("neon-dot", "float32")])
def test_known_targets(known):
    target, dtype = known
    assert targets.tile_of(*known) == targets.TARGETS[target][dtype]


@pytest.mark.parametrize("unknown", [("sse", "int8"), ("avx2", "int4")])
def test_unknown_targets(unknown):
    with pytest.raises(ValueError, match="must be one of .*Received: "):
        targets.tile_of(*unknown)


def test_instruction_sets_of_amx_compute_wide_groups():
    """On AMX a group of 16 channels and filters takes what one of 64 does."""
    (amx, vnni) = (targets.tile_of(name, "int8") for name in ("amx", "avx512-vnni"))
    assert cost(amx, 9, 16, 16, groups=4) == 4 * cost(amx, 9, 64, 64)
    assert cost(vnni, 9, 16, 16, groups=4) < cost(vnni, 9, 64, 64)


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "target"),
    [
        ("flags : avx2 avx512f avx512bw avx512_vnni amx_int8", "x86_64", "amx"),
        ("flags : avx2 avx512f avx512bw avx512_vnni", "x86_64", "avx512-vnni"),
        ("flags : avx2 avx512f avx512bw", "x86_64", "avx512"),
        ("flags : avx2 avx_vnni", "x86_64", "avx-vnni"),
        ("bugs : avx512_vnni\nflags : sse avx2", "x86_64", "avx2"),
        ("Features : asimd asimddp i8mm", "aarch64", "neon-i8mm"),
        ("Features : asimd asimddp", "aarch64", "neon-dot"),
        ("Features : asimd", "aarch64", "neon"),
        ("Features : asimd\nFeatures : asimd asimddp", "aarch64", "neon"),
        (None, "arm64", "neon"),
        (None, "AMD64", "avx2"),
    ],
)
def test_the_target_of_this_machine(monkeypatch, cpuinfo, machine, target):
    def opened(path):
        if cpuinfo is None:
            raise FileNotFoundError
        return io.StringIO(cpuinfo)

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert targets.host_target() == target
    assert targets.resolve_target("host") == target
    assert targets.resolve_target("neon") == "neon"


@pytest.mark.parametrize(
    ("told", "target"), [("1\n1\n", "neon-i8mm"), ("0\n1\n", "neon-dot"), ("", "neon")]
)
def test_the_target_of_a_mac(monkeypatch, told, target):
    def opened(path):
        raise FileNotFoundError

    def run(command, **how):
        assert command[:2] == ["sysctl", "-n"]
        return subprocess.CompletedProcess(command, 0, stdout=told)

    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(subprocess, "run", run)
    assert targets.host_target() == target
