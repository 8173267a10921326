import importlib.metadata
import os

from keras_roots.benchmarking.machine import processor, versions
from keras_roots.export import host_target


def test_the_processor_and_how_much_of_it():
    name, target, count = processor().rsplit(", ", 2)
    assert name and count == f"{os.cpu_count()} CPUs"
    assert target == host_target()


def test_versions_are_of_installed_packages_and_of_runtimes_at_work(monkeypatch):
    def version(package):
        if package == "tensorflow":
            raise importlib.metadata.PackageNotFoundError
        return "1.2"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert versions() == "keras_roots 1.2, keras 1.2, ai-edge-litert 1.2"
    assert versions(["litert", "openvino"]).endswith("ai-edge-litert 1.2, openvino 1.2")
