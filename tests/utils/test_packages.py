"""Which packages are found."""

import sys

from keras_roots.utils import is_installed


def test_installed_packages():
    assert is_installed() and is_installed("numpy", "keras")
    assert not is_installed("numpy", "no_such_package")
    assert not is_installed("no_such_package.inside")


def test_what_is_kept_out_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert not is_installed("numpy")

    class Refusing:
        def find_spec(self, name, path=None, target=None):
            if name == "refused_package":
                raise ImportError(name)

    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    assert not is_installed("refused_package")
