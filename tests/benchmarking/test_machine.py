import importlib.metadata
import io
import os
import platform

import pytest

from keras_roots.benchmarking.machine import host_target, processor, versions


def test_the_processor_and_how_much_of_it():
    name, _, count = processor().rpartition(", ")
    assert name and count == f"{os.cpu_count()} CPUs"


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "target"),
    [
        ("flags : sse avx2 avx512f avx512_vnni", "x86_64", "avx512"),
        ("flags : sse avx2", "x86_64", "avx2"),
        ("Features : asimd", "aarch64", "neon"),
        (None, "arm64", "neon"),
        (None, "AMD64", "avx2"),
    ],
)
def test_the_target_that_a_machine_is_most_like(monkeypatch, cpuinfo, machine, target):
    def opened(path):
        if cpuinfo is None:
            raise FileNotFoundError
        return io.StringIO(cpuinfo)

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert host_target() == target


def test_versions_are_of_installed_packages_and_of_runtimes_at_work(monkeypatch):
    def version(package):
        if package == "tensorflow":
            raise importlib.metadata.PackageNotFoundError
        return "1.2"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert versions() == "keras_roots 1.2, keras 1.2, ai-edge-litert 1.2"
    assert versions(["litert", "openvino"]).endswith("ai-edge-litert 1.2, openvino 1.2")
