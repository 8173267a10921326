"""A bar on the terminal for what takes minutes."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import keras

T = TypeVar("T")


def progress(
    items: Iterable[T], unit: str = "layer", count: int | None = None
) -> Iterator[T]:
    """Yields items, with a bar that shows how many are done; on a terminal alone.

    Args:
        items: What is worked on, one after the other.
        unit: What an item is.
        count: How many there are; `None` where `items` has a length.
    """
    if not sys.stdout.isatty():
        yield from items
        return
    bar = keras.utils.Progbar(count or len(items), unit_name=unit)
    for item in items:
        yield item
        bar.add(1)
