"""Which optional packages are there."""

import importlib.util


def is_installed(*packages: str) -> bool:
    """Returns whether all of some packages can be imported; imports none of them.

    Args:
        *packages: Names to import.
    """
    return all(map(_is_found, packages))


def _is_found(package):
    try:
        return bool(importlib.util.find_spec(package))
    except (ImportError, ValueError):  # kept out: by an import hook, in sys.modules
        return False
