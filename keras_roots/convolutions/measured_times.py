"""A table of measured times of convolutions, alone or in chains, kept in a CSV file."""

import csv
import os
from collections.abc import Collection, Sequence

from keras_roots.convolutions.description import Convolution
from keras_roots.utils import checks

COLUMNS = ("dtype", "threads", "convolutions", "ms", "processor", "versions")

# Types of arithmetic, by how a network is quantised.
ARITHMETIC = {None: "float32", "dynamic": "dynamic", "int8": "int8"}

Chain = Sequence[Convolution]
Key = tuple[str, str, str]


class MeasuredTimes:
    """Milliseconds of convolutions in LiteRT on a CPU, one after the other in chains.

    Args:
        path: CSV file with the columns `COLUMNS`, which need not exist. `None` for
            times kept in memory only.
        quantize: How the network will be quantised: a key of `ARITHMETIC`.
        threads: Number of threads.

    Raises:
        ValueError: An argument is impossible, or the file is no such table.
        OSError: The file cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        quantize: str | None = None,
        threads: int = 1,
    ):
        self.path = checks.path("path", path)
        self.quantize = checks.choice("quantize", quantize, ARITHMETIC)
        self.threads = checks.integer("threads", threads)
        self._rows = self._read()

    def ms(self, chains: Sequence[Chain]) -> list[float]:
        """Returns the milliseconds of chains, all calls of their convolutions together.

        Args:
            chains: Chains of convolutions, each of which takes what the one before it
                gives, and has as many calls.

        Raises:
            ValueError: Convolutions do not fit, or the table lacks some.
        """
        _check_chains(chains)
        calls = [
            list(zip(*(convolution.calls for convolution in chain), strict=True))
            for chain in chains
        ]
        keyed = {self._key(call): call for each in calls for call in each}
        missing = {key: keyed[key] for key in keyed if key not in self._rows}
        if missing:
            self._add(missing)
        return [
            sum(float(self._rows[self._key(call)]["ms"]) for call in each)
            for each in calls
        ]

    def singles(self) -> dict[Convolution, float]:
        """Returns the milliseconds of all convolutions measured alone.

        Raises:
            ValueError: A row describes no convolution.
        """
        return {
            Convolution.parse(text): float(row["ms"])
            for (dtype, threads, text), row in self._rows.items()
            if (dtype, threads) == self._key(())[:2] and ";" not in text
        }

    def _add(self, missing: dict[Key, tuple[Convolution, ...]]) -> None:
        """Adds rows of chains that the table lacks."""
        raise ValueError(
            f"The table of times {self.path!r} lacks convolutions that are needed. "
            f"Received: {list(missing)}"
        )

    def _key(self, chain) -> Key:
        text = "; ".join(map(str, chain))
        return ARITHMETIC[self.quantize], str(self.threads), text

    def _read(self) -> dict[Key, dict]:
        if self.path is None or not os.path.exists(self.path):
            return {}
        try:
            with open(self.path, encoding="utf-8", newline="") as file:
                return _rows(file.read())
        except (ValueError, csv.Error) as error:
            raise ValueError(
                "`path` (or `latency_table`) must be a table of measured times, a CSV "
                f"file with the columns {', '.join(COLUMNS)}, or not exist yet. "
                f"Received: {self.path!r}, in which reading failed with: {error}"
            ) from error


def _check_chains(chains):
    if not isinstance(chains, Collection):
        raise ValueError(
            "`chains` must be a list of chains of convolutions. "
            f"Received: chains={chains!r}"
        )
    for chain in chains:
        _check_chain(chain)


def _check_chain(chain):
    listed = isinstance(chain, Sequence)
    if not listed or not all(isinstance(part, Convolution) for part in chain):
        raise ValueError(
            "`chains` must hold chains of `Convolution`, lists or tuples. "
            f"Received: the chain {chain!r}"
        )
    if not chain:
        raise ValueError("`chains` must hold convolutions. Received: an empty chain")
    for before, after in zip(chain, chain[1:], strict=False):
        given = [(*sides, before.filters) for sides in before.outputs]
        if given != [(*sides, after.channels) for sides in after.inputs]:
            raise ValueError(
                "`chains` must hold convolutions that fit: each takes what the one "
                f"before it gives, here {given}. Received: '{before}' before '{after}'"
            )


def _rows(text) -> dict[Key, dict]:
    reader = csv.DictReader(text.splitlines())
    if reader.fieldnames != list(COLUMNS):
        raise ValueError(f"columns {reader.fieldnames}")
    rows = {}
    for row in reader:
        if None in row.values() or not 0 < float(row["ms"]) < float("inf"):
            raise ValueError(f"row {row}")
        rows[row["dtype"], row["threads"], row["convolutions"]] = row
    return rows
