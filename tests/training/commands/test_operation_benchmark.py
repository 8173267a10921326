import keras
import pytest
from keras import layers

from keras_roots.benchmarking.timers import Case
from keras_roots.export import litert
from keras_roots.layers.grouped_conv2d import GroupedConv2D
from keras_roots.training.commands import operation_benchmark


def _network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 16)),
            GroupedConv2D(16, 3, groups=4, name="grouped"),
            layers.AveragePooling2D(2, name="pool"),
        ],
        name="network",
    )


def test_networks_and_files_are_profiled_in_their_order(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(litert.convert(_network()))
    saved = tmp_path / "net.keras"
    _network().save(saved)
    said = []
    profiled = operation_benchmark.profile_cases(
        {
            "0": Case(_network(), quantize="int8", batch_size=2, label="network"),
            "1": Case(path, threads=2, label="net.tflite"),
            "2": Case(saved, label="net.keras"),
        },
        runs=2,
        warmup=0,
        progress=said.append,
    )
    names = [each.profile.name for each in profiled]
    assert names == ["network int8", "net.tflite", "net.keras"]
    assert [each.profile.threads for each in profiled] == [1, 2, 1]
    assert "loaded 2: net.keras (2 of 2)" in said
    text = operation_benchmark.table(profiled)
    assert [text.count(f"{name}: ") for name in names] == [1, 1, 1]

    rows = operation_benchmark.rows(profiled)
    int8, file, _ = (
        next(row for row in rows if row.name == name and row.layer == "grouped")
        for name in ("network", "net.tflite", "net.keras")
    )
    # 6x6 positions of 16 filters that see 3x3x4 weights, and 16 biases.
    assert int8.macs == 2 * 36 * 16 * 36 + 16
    assert file.macs == 36 * 16 * 36 + 16
    assert (int8.quantize, int8.batch_size, file.threads) == ("int8", 2, 2)
    assert int8.input_shape == "2x8x8x16"
    assert file.kernel_shape == "16x3x3x4"
    assert file.output_shape == "1x6x6x16"
    assert (file.strides, file.groups, file.operation) == ("1x1", 4, "CONV_2D")
    assert file.kernel.startswith("Convolution (")
    assert [row.position for row in rows if row.name == "net.tflite"] == [0, 1]
    pools = {
        row.name: row.delegated for row in rows if row.operation == "AVERAGE_POOL_2D"
    }
    assert pools == {"network": False, "net.tflite": True, "net.keras": True}
    for each in profiled:
        own = [row for row in rows if row.name == each.case.label]
        assert sum(row.share for row in own) == pytest.approx(1)
        assert {row.call_ms for row in own} == {each.profile.call_ms}


def test_rewrites_are_profiled():
    """LiteRT has no fast int8 average pool; a rewrite makes it a convolution."""
    cases = {
        name: Case(_network(), quantize="int8", optimize=name, label="network")
        for name in (None, "convolve_average_pools")
    }
    plain, rewritten = operation_benchmark.profile_cases(cases, runs=1, warmup=0)
    assert plain.profile.name == "network int8"
    assert rewritten.profile.name == "network int8 convolve_average_pools"
    assert [each.kernel for each in plain.profile.undelegated] == ["AVERAGE_POOL_2D"]
    assert not rewritten.profile.undelegated
    rows = operation_benchmark.rows([rewritten])
    assert {row.optimize for row in rows} == {"convolve_average_pools"}


def test_only_litert_tells(tmp_path):
    _network().export(tmp_path / "saved", verbose=False)
    case = Case(tmp_path / "saved", "tensorflow", label="saved")
    with pytest.raises(ValueError, match="--profile takes.*'saved' on tensorflow"):
        operation_benchmark.profile_cases({"0": case})
