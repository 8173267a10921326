import helpers
import keras
import numpy as np
import pytest
from keras import layers

from keras_roots.benchmarking.cases import (
    Case,
    check_case,
    find_model,
    make_cases,
    named_cases,
)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"runtime": "onnx"}, "`runtime` must be one of.*'onnx'"),
        ({"threads": 0}, "`threads` must be an integer, 1 or more.*0"),
        ({"threads": True}, "`threads` must be an integer, 1 or more.*True"),
        ({"batch_size": 1.5}, "`batch_size` must be an integer, 1 or more"),
        ({"quantize": "int4"}, "`quantize` must be one of.*'int4'"),
        (
            {"runtime": "keras", "quantize": "int8"},
            r"`quantize` must be one of \[None\] for a Keras model .*runtime='keras'",
        ),
        (
            {"runtime": "openvino", "quantize": "dynamic"},
            r"`quantize` must be one of \[None, 'int8'\] .*runtime='openvino'",
        ),
        (
            {"runtime": "tensorflow", "optimize": "latency"},
            "`optimize` is for Keras models with runtime='litert'",
        ),
        ({"optimize": "speed"}, "`optimize` must be None.*'speed'"),
        ({"optimize": 3}, "`optimize` must be None.*=3"),
        ({"quantize": ["int8"]}, "`quantize` must be one of.*'int8'"),
        ({"quantize": np.zeros(2)}, "`quantize` must be one of"),
        ({"input_shape": 8}, "`input_shape` must be the shape of one input.*=8"),
        ({"input_shape": "8"}, "`input_shape` must be the shape of one input.*='8'"),
        ({"input_shape": (8, 0, 16)}, "`input_shape` must be the shape of one input"),
        ({"input_shape": [(8, 0)]}, "`input_shape` must be .*of several inputs a list"),
    ],
)
def test_impossible_arguments_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        check_case(Case(helpers.grouped(), **arguments))


@pytest.mark.parametrize("target", [None, 3, "", b"net.tflite", [helpers.grouped]])
def test_what_is_no_network(target):
    for case in (
        lambda: check_case(Case(target)),
        lambda: named_cases({"net": target}),
        lambda: make_cases([target], []),
    ):
        with pytest.raises(ValueError, match="`(target|models)` must be .*Keras model"):
            case()


@pytest.mark.parametrize("targets", [None, 3, {}, ["net"], {3: "net"}])
def test_networks_have_names(targets):
    with pytest.raises(ValueError, match="`targets` must hold a network or more: a"):
        named_cases(targets)


def test_a_network_is_a_case_with_its_defaults(tmp_path):
    own = Case(str(tmp_path), "tensorflow", input_shape=[8, 8, 3])
    found = named_cases({"own": own, "net": helpers.grouped()})
    assert found["own"] is own
    assert found["net"] == Case(found["net"].target)


def test_a_file_runs_where_it_can(tmp_path):
    def check(*arguments, **options):
        check_case(Case(*arguments, **options))

    path = tmp_path / "net.tflite"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"must be one of \('litert',\) for a .tflite"):
        check(path, "tensorflow")
    with pytest.raises(ValueError, match=r"must be one of \[None\] for a .tflite file"):
        check(path, quantize="int8")
    with pytest.raises(ValueError, match="`optimize` is for Keras models"):
        check(path, optimize="latency")
    with pytest.raises(ValueError, match="for a SavedModel"):
        check(tmp_path, "litert")
    with pytest.raises(FileNotFoundError, match="missing"):
        check(tmp_path / "missing.tflite")


def _open_network():
    return keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3)])


def test_sides_left_open_must_be_given():
    with pytest.raises(ValueError, match="inputs of a fixed size"):
        find_model(Case(_open_network()))
    with pytest.raises(ValueError, match=r"`input_shape` must fill.*\(5, 5, 1\)"):
        find_model(Case(_open_network(), input_shape=(5, 5, 1)))
    model = find_model(Case(_open_network(), input_shape=[6, 5, 3]))
    assert model.input_shape == (None, 6, 5, 3)
    assert find_model(Case(model, input_shape=(6, 5, 3))) is model


def test_every_input_may_leave_sides_open():
    images = keras.Input((None, None, 3), name="images")
    rows = keras.Input((None, 2), name="rows", dtype="float32")
    joined = [layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(images))]
    joined.append(layers.GlobalMaxPooling1D()(rows))
    model = keras.Model({"b": rows, "a": images}, layers.Concatenate()(joined))
    helpers.assign_random(model)
    shapes = {"images": (6, 5, 3), "rows": (7, 2)}
    given = [shapes[tensor.name] for tensor in model.inputs]
    sized = find_model(Case(model, input_shape=given))
    assert [tensor.shape[1:] for tensor in sized.inputs] == given
    assert [tensor.name for tensor in sized.inputs] == ["images", "rows"]
    values = {
        key: np.random.default_rng(0).normal(size=(2, *shapes[name])).astype("float32")
        for key, name in (("a", "images"), ("b", "rows"))
    }
    np.testing.assert_allclose(sized(values), model(values), rtol=1e-5)
    for shape in ((6, 5, 3), given[:1], [(6, 5, 1), (7, 2)]):
        with pytest.raises(ValueError, match="`input_shape` must fill in the unknown"):
            find_model(Case(model, input_shape=shape))
    with pytest.raises(ValueError, match="inputs of a fixed size.*rows"):
        find_model(Case(keras.Model(rows, layers.Dense(2)(rows), name="rows")))


def test_images_of_several_inputs_have_one_size(several):
    (case,) = make_cases([several], [], image_size=9).values()
    shapes = {"picture": (9, 9, 3), "numbers": (4,), "index": (1,)}
    assert case.input_shape == [shapes[tensor.name] for tensor in several.inputs]


def test_a_file_gets_one_shape(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="the shape of one input, positive"):
        check_case(Case(path, input_shape=[(8, 8, 3), (4,)]))


def test_networks_of_open_sides_compute_the_same_on_one_size():
    model = keras.applications.MobileNetV3Small(
        weights=None,
        input_shape=(None, None, 3),
        classes=5,
        classifier_activation=None,
        include_preprocessing=False,
    )
    helpers.assign_random(model)
    sized = find_model(Case(model, input_shape=(64, 64, 3)))
    assert sized.input_shape == (None, 64, 64, 3)
    helpers.assert_same_outputs(sized, model, helpers.pixels(2, 64) / 128 - 1)


@pytest.mark.parametrize(
    ("data_format", "shape"),
    [("channels_last", (9, 9, 1)), ("channels_first", (1, 9, 9))],
)
def test_images_have_one_size(data_format, shape):
    keras.config.set_image_data_format(data_format)
    sides = tuple(None if side == 9 else side for side in shape)
    model = keras.Sequential([keras.Input(sides), layers.Conv2D(4, 3)])
    cases = make_cases([model], ["net.keras"], image_size=9)
    found = [case.input_shape for case in cases.values()]
    assert found == [shape, tuple(3 if side == 1 else side for side in shape)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"runtimes": ["onnx"]}, "`runtimes` must be of"),
        ({"quantize": ["int4"]}, "`quantize` must be of"),
    ],
)
def test_impossible_combinations(arguments, text):
    with pytest.raises(ValueError, match=text):
        make_cases([], ["a.keras"], **arguments)


def test_every_combination_is_a_case(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="net")
    cases = make_cases(
        [model],
        [str(tmp_path / "a.tflite"), str(tmp_path), "b.keras"],
        runtimes=["litert", "tensorflow"],
        quantize=[None, "int8"],
        threads=[1, 2],
        batch_sizes=[4],
        optimize=[None, "latency"],
    )
    found = {
        (c.label, c.runtime, c.quantize, c.optimize, c.threads) for c in cases.values()
    }
    ways = [
        ("litert", None, None),
        ("litert", None, "latency"),
        ("litert", "int8", None),
        ("litert", "int8", "latency"),
        ("tensorflow", None, None),
    ]
    assert found == {
        (label, *way, threads)
        for threads in (1, 2)
        for label, own in {
            "net": ways,
            "b.keras": ways,
            "a.tflite": [("litert", None, None)],
            tmp_path.name: [("tensorflow", None, None)],
        }.items()
        for way in own
    }
    assert len(cases) == len(found)
    assert {case.batch_size for case in cases.values()} == {4}
    assert cases["0"] == Case(model, batch_size=4, label="net")


def test_runtimes_leave_out_what_they_cannot_quantise():
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)], name="net")
    cases = make_cases(
        [model],
        [],
        runtimes=["litert", "onnxruntime", "openvino", "keras"],
        quantize=["int8", "dynamic", None],
        optimize=["latency"],
    )
    assert [(c.runtime, c.quantize, c.optimize) for c in cases.values()] == [
        ("litert", "int8", "latency"),
        ("litert", "dynamic", "latency"),
        ("litert", None, "latency"),
        ("onnxruntime", "int8", None),
        ("onnxruntime", None, None),
        ("openvino", "int8", None),
        ("openvino", None, None),
        ("keras", None, None),
    ]
