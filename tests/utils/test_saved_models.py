"""SavedModels: what their operations may do, and how large their variables are."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import grouped, one_layer
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

import keras_roots
from keras_roots.utils import saved_models

SHAPE = (None, 8, 8, 16)


def _network():
    return one_layer(keras.layers.Conv2D(4, 3), shape=SHAPE[1:])


def _of_ours(lowering):
    return lambda path: keras_roots.export_saved_model(grouped(), path, lowering)


def _random(path):
    layers = [keras.layers.RandomFlip(), keras.layers.Dropout(0.5)]
    keras.Sequential([keras.Input(SHAPE[1:]), *layers]).export(path, verbose=False)


def _recurrent(path):
    layers = [keras.layers.Reshape((64, 16)), keras.layers.LSTM(3)]
    keras.Sequential([keras.Input(SHAPE[1:]), *layers]).export(path, verbose=False)


def _table(path):
    """A SavedModel with a resource that its initialiser fills."""

    class Lookup(tf.Module):
        def __init__(self):
            values = tf.lookup.KeyValueTensorInitializer([0, 1], [2.0, 3.0])
            self.table = tf.lookup.StaticHashTable(values, 0.0)

        @tf.function(input_signature=[tf.TensorSpec((), tf.int32)])
        def serve(self, key):
            return {"value": self.table.lookup(key)}

    lookup = Lookup()
    tf.saved_model.save(lookup, path, lookup.serve)


def _of_tensorflow_1(path):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, SHAPE)
        outputs = images * v1.get_variable("scale", [16])
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, path, {"x": images}, {"y": outputs})


SAFE = {
    "ours, auto": _of_ours("auto"),
    "ours, native": _of_ours("native"),
    "ours, split": _of_ours("split"),
    "of Keras": lambda path: _network().export(path, verbose=False),
    "of TensorFlow": lambda path: tf.saved_model.save(_network(), path),
    "random numbers": _random,
    "recurrent": _recurrent,
    "table": _table,
    "TensorFlow 1": _of_tensorflow_1,
}


@pytest.mark.parametrize("write", SAFE.values(), ids=SAFE)
def test_what_computes_in_memory_needs_no_trust(write, tmp_path):
    path = str(tmp_path / "saved")
    write(path)
    with pytest.warns(UserWarning, match="is a program: its operations run"):
        loaded = saved_models.load_saved_model(path)
    assert callable(loaded.signatures["serving_default"])


def _save(function, path):
    """A SavedModel that calls a function of the images on its way."""
    module = tf.Module()

    def serve(images):
        with tf.control_dependencies([function(images)]):
            return {"y": tf.reduce_sum(images, (1, 2))}

    specification = tf.TensorSpec(SHAPE, tf.float32)
    module.serve = tf.function(serve, [specification], autograph=False)
    tf.saved_model.save(module, path, module.serve)


def _snapshot(images):
    data = tf.data.Dataset.from_tensors(images).snapshot("there")
    return data.reduce(0.0, lambda state, _: state)


def _cached(images):
    data = tf.data.Dataset.from_tensors(images).map(lambda x: x).cache("there")
    return data.reduce(0.0, lambda state, _: state)


def _in_a_branch(images):
    def write():
        with tf.control_dependencies([tf.io.write_file("there", "text")]):
            return tf.constant(0.0)

    return tf.cond(tf.reduce_sum(images) > 0, write, lambda: tf.constant(1.0))


def _of_a_graph_as_text(images):
    graph = tf.raw_ops.DatasetFromGraph(graph_def=tf.strings.as_string(images)[0, 0, 0])
    return tf.raw_ops.DatasetCardinality(input_dataset=graph)


raw = tf.raw_ops
UNSAFE = {
    "WriteFile": lambda _: tf.io.write_file("there", "text"),
    "WriteFile in a branch": _in_a_branch,
    "ReadFile": lambda _: tf.io.read_file("there"),
    "PrintV2": lambda x: tf.print(x, output_stream="file://there"),
    "PyFunc": lambda x: tf.numpy_function(np.sum, [x], tf.float32),
    "EagerPyFunc": lambda x: tf.py_function(lambda y: y, [x], tf.float32),
    "SaveV2": lambda x: raw.SaveV2(
        prefix="there", tensor_names=["x"], shape_and_slices=[""], tensors=[x]
    ),
    "MergeV2Checkpoints": lambda _: raw.MergeV2Checkpoints(
        checkpoint_prefixes=["there"], destination_prefix="here", delete_old_dirs=True
    ),
    "RestoreV2": lambda _: raw.RestoreV2(
        prefix="there", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
    "CacheDatasetV2": _cached,
    "SnapshotDatasetV2": _snapshot,
    "DatasetFromGraph": _of_a_graph_as_text,
    "MatchingFiles": lambda _: raw.MatchingFiles(pattern="/*"),
    "CreateSummaryFileWriter": lambda _: raw.CreateSummaryFileWriter(
        writer=raw.SummaryWriter(), logdir="there", max_queue=1, flush_millis=1,
        filename_suffix=".x",
    ),
    "DebugIdentityV2": lambda x: raw.DebugIdentityV2(input=x, debug_urls=["file://x"]),
    "ImmutableConst": lambda _: raw.ImmutableConst(
        dtype=tf.float32, shape=[1], memory_region_name="/etc/hostname"
    ),
    "Abort": lambda _: raw.Abort(),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE)
def test_what_reaches_beyond_the_memory_needs_trust(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _save(UNSAFE[name], "saved")
    with pytest.raises(ValueError) as error, warnings.catch_warnings():
        warnings.simplefilter("error")
        saved_models.load_saved_model("saved", "`file`")
    operation = name.partition(" ")[0]
    assert re.match(
        "`file` must be a SavedModel that computes in memory alone, or `trust` must be "
        f"True. Received: 'saved', whose operations .*{operation}",
        str(error.value),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved"]
    with pytest.warns(UserWarning, match="is a program"):
        assert saved_models.load_saved_model("saved", trust=True).signatures


def _proto(path):
    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())


def _saving(graph):
    """The name of the function of a SavedModel that saves its variables."""
    (function,) = (
        function
        for function in graph.library.function
        if any(node.op == "SaveV2" for node in function.node_def)
    )
    return function


def _exchanged(meta_graph):
    """The optimiser may exchange a function for the one that saves."""
    _saving(meta_graph.graph_def).attr["api_implements"].s = b"loss"


def _called(meta_graph):
    """A function calls the one that saves by its name."""
    graph = meta_graph.graph_def
    saving = _saving(graph)
    other = next(each for each in graph.library.function if each is not saving)
    other.node_def.add(name="more", op=saving.signature.name)


def _named_in_a_text(meta_graph):
    graph = meta_graph.graph_def
    saving = _saving(graph)
    other = next(each for each in graph.library.function if each is not saving)
    other.attr["forward_function_name"].s = saving.signature.name.encode()


def _a_signature(meta_graph):
    """A signature gives what the function that saves gives."""
    for signature in meta_graph.signature_def.values():
        for output in signature.outputs.values():
            output.name = meta_graph.saver_def.save_tensor_name


def _restored(meta_graph):
    """What restores the variables saves them: loaders of TensorFlow 1 run it."""
    saver = meta_graph.saver_def
    saver.restore_op_name = saver.save_tensor_name.partition(":")[0]


def _of_the_object_graph(meta_graph):
    name = _saving(meta_graph.graph_def).signature.name
    meta_graph.object_graph_def.concrete_functions[name].bound_inputs.extend([])


@pytest.mark.parametrize(
    "change",
    [_exchanged, _called, _named_in_a_text, _a_signature, _restored]
    + [_of_the_object_graph],
)
def test_only_unreachable_functions_may_save(change, tmp_path):
    tf.saved_model.save(_network(), tmp_path)
    proto = _proto(tmp_path)
    assert saved_models.unsafe_operations(proto) == []
    change(proto.meta_graphs[0])
    assert {"SaveV2", "MergeV2Checkpoints"} <= {*saved_models.unsafe_operations(proto)}


@pytest.mark.parametrize("operation", ["OfTomorrow", "_FusedConv2D", "XlaCallModule"])
def test_operations_that_nobody_knows_are_refused(operation):
    proto = saved_model_pb2.SavedModel()
    graph = proto.meta_graphs.add().graph_def
    graph.node.add(name="x", op=operation)
    assert saved_models.unsafe_operations(proto) == [operation]


def test_a_function_cannot_hide_an_operation_of_its_name():
    proto = saved_model_pb2.SavedModel()
    graph = proto.meta_graphs.add().graph_def
    graph.node.add(name="x", op="WriteFile")
    graph.library.function.add().signature.name = "WriteFile"
    assert saved_models.unsafe_operations(proto) == ["WriteFile"]


# Arguments that name a file, a host or code.
_OUTSIDE = re.compile(
    "file|path|dir|url|uri|address|token|library|socket|memory_region|descriptor|prefix"
)
# Those whose argument of such a name means something else.
_HARMLESS = {
    "CTCBeamSearchDecoder", "CollectiveAllToAllV2", "CollectiveGatherV2",
    "CollectiveReduceScatterV2", "CollectiveReduceV2", "CudnnRNNCanonicalToParams",
    "CudnnRNNCanonicalToParamsV2", "CudnnRNNParamsSize", "CudnnRNNParamsToCanonical",
    "CudnnRNNParamsToCanonicalV2", "CudnnRNN", "CudnnRNNBackprop", "CudnnRNNBackpropV2",
    "CudnnRNNBackpropV3", "CudnnRNNV2", "CudnnRNNV3", "TensorSliceDataset",
}  # fmt: skip


def test_every_operation_of_tensorflow_that_takes_a_file_or_code_is_refused():
    found = 0
    for name in dir(tf.raw_ops):
        definition = op_def_registry.get(name)
        if definition is None or name in _HARMLESS or name.startswith("Xla"):
            continue
        arguments = [each.name for each in (*definition.input_arg, *definition.attr)]
        if any(map(_OUTSIDE.search, arguments)):
            proto = saved_model_pb2.SavedModel()
            proto.meta_graphs.add().graph_def.node.add(name="x", op=name)
            if name not in ("ShardedFilename", "ShardedFilespec", "DecodeImage"):
                assert saved_models.unsafe_operations(proto) == [name]
            found += 1
    assert found > 50


def test_variables_larger_than_their_files_are_refused(tmp_path):
    module = tf.Module()
    module.weights = tf.Variable(tf.zeros((2**25,)))
    tf.saved_model.save(module, tmp_path)
    (file,) = (tmp_path / "variables").glob("*.data-*")
    with open(file, "r+b") as values:
        values.truncate(1000)
    with pytest.raises(ValueError, match="its variables would take 134,.* has 1,"):
        saved_models.load_saved_model(tmp_path)


def _no_folder(path):
    path.rmdir()


def _empty(path):
    pass


def _damaged(path):
    (path / "saved_model.pb").write_bytes(b"no protocol buffer")


def _as_text(path):
    """TensorFlow reads this form too."""
    (path / "saved_model.pbtxt").write_text("")


@pytest.mark.parametrize("make", [_no_folder, _empty, _damaged, _as_text])
def test_what_is_no_saved_model(make, tmp_path):
    path = tmp_path / "saved"
    path.mkdir()
    make(path)
    with pytest.raises(ValueError, match="^--file must be the folder of a whole Saved"):
        saved_models.load_saved_model(path, "--file")
