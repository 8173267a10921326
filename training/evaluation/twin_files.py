"""LiteRT files of a network before and after it was optimised, in a table."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_roots import utils
from keras_roots.training import data
from keras_roots.training.evaluation.measure import measure
from keras_roots.utils import format_rows, markdown_rows

TABLE = "table.csv"
_COLUMNS = {
    "network": "{}",
    "format": "{}",
    "top1": "{:.2%}",
    "bytes": "{:,}",
    "zlib_bytes": "{:,}",
    "nonzero": "{:.2%}",
    "values": "{:.1f}",
    "ms": "{:.3f}",
    "ratio": "{:.3f}",
}
_SHOWN = {
    "network": ("network", "{}"),
    "format": ("format", "{}"),
    "top1": ("top-1", "{:.2%}"),
    "bytes": ("bytes", "{:,}"),
    "zlib_bytes": ("bytes, zlib", "{:,}"),
    "nonzero": ("weights not zero", "{:.0%}"),
    "ms": ("ms", "{:.2f}"),
    "ratio": ("ratio", "{:.2f}"),
}
# Depthwise ones are not optimised, and may be pools and normalisations.
_WITH_KERNEL = ("CONV_2D", "FULLY_CONNECTED")
_DTYPES = {"FLOAT32": "float32", "INT8": "int8"}


def read_kernels(path: str | os.PathLike) -> list[np.ndarray]:
    """Returns the kernels of the convolutions and fully connected layers of a file.

    Args:
        path: A LiteRT file, in float32 or int8.

    Returns:
        Arrays of float32 or int8, filters first, as LiteRT stores them.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
    kinds = [getattr(schema.BuiltinOperator, name) for name in _WITH_KERNEL]
    dtypes = {getattr(schema.TensorType, name): kind for name, kind in _DTYPES.items()}
    graph = model.subgraphs[0]
    tensors = [
        graph.tensors[operator.inputs[1]]
        for operator in graph.operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode in kinds
    ]
    return [
        np.asarray(model.buffers[tensor.buffer].data, "uint8")
        .view(dtypes[tensor.type])
        .reshape(tensor.shape)
        for tensor in tensors
    ]


def measure_twin_files(
    paths: Mapping[tuple[str, str], str | os.PathLike],
    dense: float,
    dataset: data.Dataset,
    output_dir: str | os.PathLike,
    runs: int = 50,
) -> list[dict]:
    """Measures the files of a network side by side; writes `table.csv`, `table.md`.

    Args:
        paths: LiteRT files, by network and format; the first of each format is of the
            network before, with the same layers.
        dense: Part of the weights of the network before that are not zero.
        dataset: The data set, whose test split gives the accuracy.
        output_dir: Directory for the table.
        runs: Timed calls of each file, at least.

    Returns:
        A row per file: accuracy; bytes, also compressed by zlib at its highest level;
        part of the weights that are not zero, and how many values differ within a
        kernel, on average; milliseconds on one thread, and their ratio to those of the
        first file.
    """
    networks = {}
    for (network, form), path in paths.items():
        networks.setdefault(network, {})[form] = path
    found = measure(networks, dataset, runs=runs)
    rows, first = [], {}
    for (network, form), path in paths.items():
        measured = found[network][form]
        kernels = read_kernels(path)
        # Exports repeat weights and add zeros, the same for networks of a format.
        nonzero = sum(np.count_nonzero(kernel) for kernel in kernels)
        nonzero /= first.setdefault(form, nonzero)
        values = np.mean([np.unique(kernel).size for kernel in kernels])
        rows.append(
            {
                **measured.columns("network", "format", "top1", "bytes", "zlib_bytes"),
                "nonzero": round(dense * nonzero, 4),
                "values": round(float(values), 1),
                **measured.columns("ms", "ratio", "processor", "versions"),
            }
        )
    table = Path(output_dir, TABLE)
    utils.write_csv(table, rows)
    utils.write_text(table.with_suffix(".md"), f"{markdown_rows(rows, _SHOWN)}\n")
    return rows


def render_twin_files(rows: Sequence[dict]) -> str:
    """Returns the rows of `measure_twin_files` as a table for the terminal."""
    table = format_rows(rows, _COLUMNS, left=2)
    return f"{table}\n{rows[0]['processor']}; {rows[0]['versions']}"
