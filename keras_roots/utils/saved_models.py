"""SavedModels of others: their operations are looked through before one is loaded.

A SavedModel is a program: its operations can write and delete files, open connections
and call Python. An operation passes if TensorFlow says that it has no state and it is
not among `_REFUSED`, or if it is one of `_IN_MEMORY`. All of the file are looked
through, whether a signature reaches them or not: TensorFlow's optimiser exchanges
functions by names that no call shows. Only what saves and restores the variables, in
functions that nothing else reaches, may use the operations for that.
"""

import math
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from keras_roots.utils.checks import boolean, quoted, unpacked

_FILE = "saved_model.pb"
_VARIABLES = "variables"
_SERVING = "serving_default"

# Operations with a state that lies in memory alone.
_IN_MEMORY = re.compile(
    r"""VarHandleOp | VarIsInitializedOp | Variable(V2|Shape)? | ReadVariableOp
    | Assign(Add|Sub)?VariableOp | DestroyResourceOp | DisableCopyOnRead
    | GuaranteeConst
    | Resource(Gather(Nd)? | StridedSliceAssign | Scatter[A-Z]\w+)
    | StatefulPartitionedCall | If | Case | While | Assert | CheckNumerics(V2)? | Empty
    | DeviceIndex | Random(Crop | Gamma | Poisson(V2)? | Shuffle | StandardNormal
    | Uniform(Int)?) | Multinomial | (Parameterized)?TruncatedNormal
    | Stateful(RandomBinomial | StandardNormal(V2)? | TruncatedNormal
    | Uniform(Full)?(Int)?) | Rng(ReadAnd)?Skip | StatelessRandomGetAlg
    | SampleDistortedBoundingBox(V2)?
    | (Anonymous)?(Mutable)?(Dense)?HashTable(OfTensors)?(V2)? | InitializeTableV2
    | LookupTable\w+V2 | TensorArray\w* | Stack(Push|Pop|Close)?(V2)? | CudnnRNN\w*
    | TensorDataset | TensorSliceDataset | RangeDataset | ReduceDataset
    | ShuffleDatasetV[23] | DatasetToSingleElement""",
    re.VERBOSE,
)
# Operations that TensorFlow calls stateless, and that read, write or call what is
# outside, end the process, or run a graph that is text.
_REFUSED = {
    "Abort",
    "CacheDataset",
    "Copy",
    "CopyHost",
    "DatasetFromGraph",
    "DebugIdentity",
    "DebugNanCount",
    "DebugNumericSummary",
    "DecodeProtoV2",
    "EncodeProto",
    "GenerateVocabRemapping",
    "ImmutableConst",
    "InitializeTableFromTextFile",
    "MatchingFiles",
    "PyFuncStateless",
    "ReadFile",
    "RegisterDataset",
    "RegisterDatasetV2",
    "SnapshotChunkDataset",
    "SnapshotDataset",
    "SnapshotDatasetReader",
    "SnapshotDatasetV2",
    "SnapshotNestedDatasetReader",
}
# Attribute of functions that TensorFlow's optimiser may put in each other's place.
_EXCHANGED = "api_implements"
_NODE, _FUNCTION = "node", "function"  # kinds of parts
_SAVE = {"SaveV2", "MergeV2Checkpoints"}
_RESTORE = {"RestoreV2"}
_SHOWN = 5  # operations that a message names


def load_saved_model(
    path: str | os.PathLike, argument: str = "`path`", trust: bool = False
):
    """Loads a SavedModel, unless it has operations that reach beyond the memory.

    A warning says that what is loaded runs.

    Args:
        path: Its folder.
        argument: What the path was given as, for the message.
        trust: Whether to load it whatever its operations do.

    Returns:
        What `tf.saved_model.load` does.

    Raises:
        ValueError: It is no SavedModel, damaged, its variables would be larger than
            their files, or it has operations that need trust.
        ImportError: TensorFlow is not installed.
    """
    path = os.fspath(path)
    boolean("trust", trust)
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    unsafe = []
    try:
        if not trust:
            content = Path(path, _FILE).read_bytes()
            unsafe = unsafe_operations(saved_model_pb2.SavedModel.FromString(content))
            _check_variables(path)
        if not unsafe:
            warnings.warn(
                f"The SavedModel {path!r} is a program: its operations run when it is "
                "loaded and called.",
                stacklevel=3,
            )
            return tf.saved_model.load(path)
    except Exception as error:
        raise ValueError(
            f"{argument} must be the folder of a whole SavedModel. Received: {path!r}; "
            f"loading it failed with: {quoted(error, 600)}"
        ) from error
    raise ValueError(
        f"{argument} must be a SavedModel that computes in memory alone, or `trust` "
        f"must be True. Received: {path!r}, whose operations {_listed(unsafe)} may "
        "read or write files, use the network or call other code"
    )


def load_signature(
    path: str | os.PathLike, argument: str = "`path`", trust: bool = False
):
    """Loads a SavedModel, as `load_saved_model` does, and returns what serves it.

    Args:
        path: Its folder.
        argument: What the path was given as, for the message.
        trust: As for `load_saved_model`.

    Returns:
        Its signature `serving_default`, a function of TensorFlow.

    Raises:
        ValueError: As `load_saved_model`, or it has no such signature.
        ImportError: TensorFlow is not installed.
    """
    signatures = load_saved_model(path, argument, trust).signatures
    if _SERVING not in signatures:
        raise ValueError(
            f"{argument} must be a SavedModel with a signature {_SERVING!r}. "
            f"Received: {path!r} with {sorted(signatures)}"
        )
    return signatures[_SERVING]


def unsafe_operations(saved_model) -> list[str]:
    """Returns the operations of a SavedModel that reach beyond the memory, sorted.

    Args:
        saved_model: Its protocol buffer.
    """
    import tensorflow as tf

    found, functions = set(), set()
    for meta_graph in saved_model.meta_graphs:
        parts = _parts(meta_graph.graph_def)
        saver = meta_graph.saver_def
        saves = _reached({_node(saver.save_tensor_name)}, parts)
        # Loading a SavedModel of TensorFlow 1 restores by an operation of its own.
        restore = _node(saver.restore_op_name)
        restores = _reached({restore}, parts)
        roots = _roots(meta_graph)
        may_not_save = _reached(roots | {restore} | (parts.keys() - saves), parts)
        may_not_restore = _reached(roots | (parts.keys() - saves - restores), parts)
        for key, part in parts.items():
            found |= (
                part.operations
                - (set() if key in may_not_save else _SAVE)
                - (set() if key in may_not_restore else _RESTORE)
            )
        functions |= {name for kind, name in parts if kind == _FUNCTION}
    # Functions are called as operations too; those of TensorFlow come first.
    found -= {name for name in functions if not hasattr(tf.raw_ops, name)}
    return sorted(name for name in found if not _is_in_memory(name))


def _is_in_memory(operation) -> bool:
    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(operation)
    if definition is None or not hasattr(tf.raw_ops, operation):
        return False  # custom, or for TensorFlow's own use
    if definition.is_stateful:
        return _IN_MEMORY.fullmatch(operation) is not None
    return operation not in _REFUSED


class _Part(NamedTuple):
    """A node of the graph or a function: what it runs, and the parts it may use."""

    operations: set[str]
    uses: set[tuple[str, str]]


def _parts(graph) -> dict[tuple[str, str], _Part]:
    """Returns the nodes and the functions of a graph, by kind and name."""
    parts = {}
    for node in graph.node:
        uses = {*_functions([node]), *map(_node, node.input)}
        parts[_NODE, node.name] = _Part({node.op}, uses)
    for function in graph.library.function:
        uses = {*_functions(function.node_def), *_mentioned(function.attr)}
        operations = {node.op for node in function.node_def}
        parts[_FUNCTION, function.signature.name] = _Part(operations, uses)
    return parts


def _node(tensor) -> tuple[str, str]:
    """Returns the node that gives a tensor, from `^name` or `name:0`."""
    return _NODE, tensor.removeprefix("^").partition(":")[0]


def _functions(nodes) -> Iterator[tuple[str, str]]:
    """Yields the functions that nodes may call: by operation or in an attribute."""
    for node in nodes:
        yield _FUNCTION, node.op
        yield from _mentioned(node.attr)


def _mentioned(attributes) -> Iterator[tuple[str, str]]:
    """Yields what may be functions among attributes: also texts, which name some."""
    for value in attributes.values():
        yield _FUNCTION, value.s.decode(errors="replace")
        for text in value.list.s:
            yield _FUNCTION, text.decode(errors="replace")
        for function in (value.func, *value.list.func):
            yield _FUNCTION, function.name
            yield from _mentioned(function.attr)


def _roots(meta_graph) -> set[tuple[str, str]]:
    """Returns the parts that signatures, loaders and the optimiser start from."""
    library = meta_graph.graph_def.library
    nodes = [
        text
        for holder in (meta_graph.signature_def, meta_graph.collection_def)
        for message in holder.values()
        for text in _all_texts(message)
    ]
    functions = [
        *meta_graph.object_graph_def.concrete_functions,
        *(gradient.gradient_func for gradient in library.gradient),
        *(gradient.gradient_func for gradient in library.registered_gradients),
        # The optimiser exchanges functions that implement the same.
        *(each.signature.name for each in library.function if _EXCHANGED in each.attr),
    ]
    return {*map(_node, nodes), *((_FUNCTION, name) for name in functions)}


def _all_texts(message) -> Iterator[str]:
    """Yields every text in a protocol buffer, whatever it means."""
    pending = [value for _, value in message.ListFields()]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif hasattr(value, "ListFields"):
            pending += [inner for _, inner in value.ListFields()]
        elif hasattr(value, "values"):
            pending += value.values()
        elif hasattr(value, "extend"):
            pending += value


def _reached(start, parts) -> set[tuple[str, str]]:
    """Returns the parts that some use, directly or not, and those themselves."""
    found, pending = set(), [key for key in start if key in parts]
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            pending += [used for used in parts[key].uses if used in parts]
    return found


def _listed(operations) -> str:
    """Returns the first operations, and how many there are more."""
    more = len(operations) - _SHOWN
    return ", ".join(operations[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _check_variables(path) -> None:
    """Checks that the values of the variables are in their files, before any is read.

    Raises:
        ValueError: They would be larger.
    """
    import tensorflow as tf

    folder = Path(path, _VARIABLES)
    if not folder.is_dir():
        return
    reader = tf.train.load_checkpoint(str(folder / _VARIABLES))
    dtypes = reader.get_variable_to_dtype_map()
    declared = sum(
        math.prod(shape) * dtypes[name].size
        for name, shape in reader.get_variable_to_shape_map().items()
    )
    stored = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    unpacked("its variables", declared, stored, most=1)
