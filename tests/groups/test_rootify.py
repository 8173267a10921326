"""Filter groups for networks that are not of this package."""

import keras
import numpy as np
import pytest

import keras_roots
from keras_roots import create_model, profile
from keras_roots.groups import carry_over, refit
from keras_roots.groups.plan import plan_rootify
from keras_roots.groups.rootify import rootify


def _kernels(model):
    return {
        layer.name: tuple(layer.kernel.shape)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }


def _pixels(side, count=2):
    generator = np.random.default_rng(0)
    return generator.uniform(0, 255, (count, side, side, 3)).astype("float32")


def _chain(*layers, side=16):
    return keras.Sequential([keras.Input((side, side, 3)), *layers])


def _conv(filters, size, name, **kwargs):
    arguments = {"padding": "same", "name": name, **kwargs}
    return keras.layers.Conv2D(filters, size, **arguments)


@pytest.mark.parametrize("topology", ["root", "column", "tree"])
def test_a_dense_nin_becomes_the_root_nin(topology):
    """The paper's own counts, through the general way."""
    dense = create_model("root_nin:1")
    plan = plan_rootify(dense, 8, topology)
    expected = create_model("root_nin", root=8, topology=topology)
    made = plan.apply("slice")
    assert _kernels(made) == _kernels(expected)
    assert (plan.macs, plan.params) == (222_487_946, 966_986)
    counted = profile(expected)
    assert (plan.macs_after, plan.params_after) == (counted.macs, counted.params)
    assert profile(made).macs == counted.macs
    assert not plan.unmixed


@pytest.mark.slow
def test_resnet50_of_keras_applications_becomes_root_resnet50():
    arguments = {"weights": None, "input_shape": (32, 32, 3)}
    theirs = keras.applications.ResNet50(include_top=False, **arguments)
    plan = plan_rootify(theirs, 64)
    ours = keras_roots.RootResNet50(root=64, include_top=False, **arguments)
    made = plan.apply("slice")
    assert list(_kernels(made).values()) == list(_kernels(ours).values())
    assert not plan.unmixed
    assert plan.params_after == sum(
        layer.count_params()
        for layer in made.layers
        if isinstance(layer, keras.layers.Conv2D)
    )


# Model: root, groups of some layers, whether groups would not mix.
APPLICATIONS = {
    "VGG16": (64, {"block1_conv2": 64, "block2_conv1": 32, "block5_conv3": 4}, True),
    "InceptionV3": (8, {"conv2d_1": 8, "conv2d_4": 4, "conv2d_7": 2}, True),
    "DenseNet121": (32, {"conv2_block1_2_conv": 32, "conv3_block1_2_conv": 16}, False),
    "ResNet50V2": (16, {"conv2_block1_2_conv": 16, "conv2_block3_2_conv": 8}, False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_applications(name):
    root, groups, apart = APPLICATIONS[name]
    keras.backend.clear_session()  # names of layers count on
    constructor = getattr(keras.applications, name)
    model = constructor(weights=None, input_shape=(96, 96, 3), classes=10)
    plan = plan_rootify(model, root)
    rows = {row.name: row for row in plan.layers}
    assert {name: rows[name].groups for name in groups} == groups
    assert bool(plan.unmixed) == apart
    assert all(row.channels > 3 for row in plan.layers)
    made = plan.apply("slice")
    assert profile(made).macs == plan.macs_after < plan.macs
    assert made.output_shape == (None, 10)


def test_networks_without_anything_to_group():
    model = keras.applications.MobileNet(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )
    with pytest.raises(ValueError, match="has no spatial convolutions to group"):
        plan_rootify(model)


def test_groups_are_lowered_to_what_channels_allow():
    model = _chain(
        _conv(12, 3, "first"),
        _conv(18, 3, "odd"),
        _conv(18, 1, "point"),
        _conv(20, 3, "last", strides=2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4),
    )
    plan = plan_rootify(model, 16)
    odd, last = plan.layers
    assert (odd.asked, odd.groups, odd.stage) == (16, 6, 0)
    assert (last.asked, last.groups, last.stage) == (8, 2, 1)
    assert odd.macs == 9 * 12 * 18 * 256 + 18
    assert odd.macs_after == 9 * 2 * 18 * 256 + 18
    text = str(plan)
    assert "6     16" in text and f"{plan.macs_after:,}" in text
    assert [layer.groups for layer in plan_rootify(model, (3, 2)).layers] == [3, 2]
    with pytest.raises(ValueError, match="must hold 2 positive integers"):
        plan_rootify(model, (3, 2, 1))
    only = plan_rootify(model, 16, layers=["last"])
    assert [(row.asked, row.groups) for row in only.layers] == [(None, 1), (8, 2)]
    with pytest.raises(ValueError, match="`layers` must name .*odd, last.*first"):
        plan_rootify(model, 16, layers=["first"])
    with pytest.raises(ValueError, match="`carry_over` must be one of"):
        plan.apply("magic")


def test_unpadded_convolutions_stay_in_their_stage():
    layers = [_conv(8, 3, f"c{i}", padding="valid") for i in range(4)]
    model = _chain(*layers, keras.layers.MaxPooling2D(), _conv(8, 3, "c4"), side=32)
    stages = {row.name: row.stage for row in plan_rootify(model, 4).layers}
    assert stages == {"c1": 0, "c2": 0, "c3": 0, "c4": 1}


def _unmixed():
    """Two grouped convolutions in a row, a 1x1, one that reaches the output."""
    return _chain(
        _conv(8, 3, "first"),
        _conv(8, 3, "one", activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.DepthwiseConv2D(3, padding="same"),
        _conv(8, 3, "two"),
        _conv(8, 1, "point"),
        _conv(8, 3, "three", activation="tanh"),
        keras.layers.GlobalAveragePooling2D(),
    )


def test_groups_that_never_mix_are_reported_and_mixed():
    model = _unmixed()
    plan = plan_rootify(model, 4)
    assert plan.unmixed == {"one": "two", "three": "an output"}
    mixed = plan_rootify(model, 4, mix=True)
    assert mixed.unmixed == {}
    made = mixed.apply("slice")
    names = [layer.name for layer in made.layers]
    assert names[names.index("one") + 1] == "one_mix"
    assert "two_mix" not in names and "three_mix" in names
    assert made.get_layer("one_mix").activation is keras.activations.relu
    assert made.get_layer("three_mix").activation is keras.activations.linear
    assert mixed.macs_after == profile(made).macs
    assert mixed.params_after == profile(made).params
    np.testing.assert_array_equal(made.get_layer("one_mix").kernel[0, 0], np.eye(8))


def test_mixing_alone_changes_nothing():
    model = _unmixed()
    made = plan_rootify(model, 4, mix=True).apply("slice")
    weights = {layer.name: layer.get_weights() for layer in made.layers}
    block = {"groups": 4}
    for name in ("one", "two", "three"):
        kernel, bias = model.get_layer(name).get_weights()
        mask = np.zeros(kernel.shape[2:])
        for g in range(block["groups"]):
            mask[2 * g : 2 * g + 2, 2 * g : 2 * g + 2] = 1
        model.get_layer(name).set_weights([kernel * mask, bias])
        np.testing.assert_array_equal(weights[name][1], bias)
    images = _pixels(16) / 255
    np.testing.assert_allclose(made(images), model(images), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", ["energy", "slice"])
def test_what_is_cut_is_what_the_dense_network_loses(how):
    """Where a kernel holds shuffled blocks only, energy finds them; slices do not."""
    model = _chain(
        _conv(8, 3, "first", activation="relu"),
        keras.layers.BatchNormalization(),
        _conv(12, 3, "middle", activation="relu"),
        _conv(6, 1, "point"),
    )
    generator = np.random.default_rng(0)
    kernel, bias = model.get_layer("middle").get_weights()
    inputs, filters = generator.permutation(8) % 4, generator.permutation(12) % 4
    kernel *= inputs[:, None] == filters
    model.get_layer("middle").set_weights([kernel, bias])
    made = rootify(model, 4, carry_over=how)
    images = _pixels(16) / 255
    same = np.allclose(made(images), model(images), rtol=1e-4, atol=1e-5)
    assert same == (how == "energy")
    kept = np.square(made.get_layer("middle").kernel).sum() / np.square(kernel).sum()
    assert (kept > 1 - 1e-6) == (how == "energy")


def test_fresh_kernels_are_initialised_for_their_groups():
    model = _chain(_conv(64, 3, "first"), _conv(64, 3, "next"), keras.layers.Flatten())
    next_ = model.get_layer("next")
    next_.kernel_initializer = keras.initializers.HeNormal(seed=1)
    made = rootify(model, 16, carry_over=None)
    deviation = np.std(made.get_layer("next").kernel)
    assert deviation == pytest.approx((2 / (9 * 4)) ** 0.5, rel=0.05)
    np.testing.assert_array_equal(
        made.get_layer("first").kernel, model.get_layer("first").kernel
    )


def test_cut_takes_diagonal_blocks():
    kernel = np.arange(4 * 6).reshape(1, 1, 4, 6)
    np.testing.assert_array_equal(
        carry_over.cut(kernel, 2)[0, 0],
        [[0, 1, 2, 15, 16, 17], [6, 7, 8, 21, 22, 23]],
    )


def test_nested_and_shared_models():
    inner = _chain(_conv(8, 3, "a"), _conv(8, 3, "b"), side=8)
    shared = _conv(8, 3, "twice")
    image = keras.Input((8, 8, 3))
    x = inner(image)
    x = keras.layers.Add()([shared(x), shared(keras.layers.ReLU()(x))])
    model = keras.Model(image, keras.layers.Flatten()(x))
    made = rootify(model, 2)
    assert {row.name.split("/")[-1] for row in plan_rootify(model, 2).layers} == {
        "b",
        "twice",
    }
    assert made.get_layer("twice").groups == 2
    assert made.get_layer(inner.name).get_layer("b").groups == 2
    assert made(_pixels(8)).shape == model(_pixels(8)).shape


def test_groups_by_name_of_layer():
    model = _chain(*(_conv(8, 3, f"conv{i}") for i in range(4)))
    plan = plan_rootify(model, {"conv2": 4, "conv3": 3})
    assert {row.name: row.groups for row in plan.layers} == {
        "conv1": 1,
        "conv2": 4,
        "conv3": 2,
    }
    assert [row.asked for row in plan.layers] == [None, 4, 3]


@pytest.mark.parametrize(
    ("root", "kwargs", "message"),
    [
        ({"conv9": 2}, {}, "`root` that .* must name .*conv1.*Received: 'conv9'"),
        ({}, {}, "`root` that .* must name .*conv1.*Received: no names"),
        ({7: 2}, {}, "`root` that .* must name .*conv1.*Received: 7"),
        ({"conv1": True}, {}, r"Received: root\['conv1'\]=True"),
        ({"conv1": 2}, {"topology": "bush"}, "`topology` must be one of"),
        ({"conv1": 0}, {}, r"Received: root\['conv1'\]=0"),
        ({"conv1": 2}, {"budget": 0.5}, "leave out `layers` and `budget`"),
        ({"conv1": 2}, {"layers": ["conv1"]}, "leave out `layers` and `budget`"),
    ],
)
def test_impossible_groups_by_name(root, kwargs, message):
    with pytest.raises(ValueError, match=message):
        plan_rootify(_chain(_conv(8, 3, "conv0"), _conv(8, 3, "conv1")), root, **kwargs)


def test_subclassed_models_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or Sequential"):
        rootify(Own())


def _responsive(seed=0):
    """Convolutions of inputs that are few signals in many channels."""
    model = _chain(
        _conv(8, 1, "spread", use_bias=False),
        _conv(12, 3, "middle", activation="relu", strides=2),
        _conv(6, 1, "point"),
        _conv(6, 3, "last", use_bias=False, padding="valid"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    )
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        layer.set_weights([generator.uniform(0.1, 1, shape) for shape in shapes])
    return model


def test_responses_are_fitted_exactly_where_every_group_sees_all_there_is_to_see():
    """Eight channels of three colours: any four of them hold all three, here even two
    groups of four do."""
    model = _responsive()
    images = _pixels(16, 40)
    made = rootify(model, 2, layers=["middle"], carry_over="responses", images=images)
    assert made.get_layer("middle").groups == 2
    fresh = np.random.default_rng(9).uniform(0, 255, (5, 16, 16, 3)).astype("f")
    wanted = np.asarray(model(fresh))
    near = np.abs(np.asarray(made(fresh)) - wanted).max() / np.ptp(wanted)
    sliced = rootify(model, 2, layers=["middle"], carry_over="energy")
    far = np.abs(np.asarray(sliced(fresh)) - wanted).max() / np.ptp(wanted)
    assert near < 0.02 < far


def test_responses_are_the_least_squares_of_numpy():
    """A layer without bias before BatchNorm, which takes up the constant."""
    model = _responsive(seed=1)
    images = _pixels(16, 30)
    grouped = carry_over.divide(model, {"last": 2})
    refit.refit(model, grouped, ["last"], images)
    inputs, answers = (
        np.asarray(keras.Model(model.inputs[0], model.get_layer(n).output)(images), "d")
        for n in ("point", "last")
    )
    patches = np.lib.stride_tricks.sliding_window_view(inputs, (3, 3), axis=(1, 2))
    patches = patches.transpose(0, 1, 2, 4, 5, 3)  # (n, y, x, 3, 3, channels)
    kernel = np.asarray(grouped.get_layer("last").kernel, "float64")
    means = [m.layers[-3].get_weights()[2] for m in (model, grouped)]
    for group in range(2):
        own = slice(3 * group, 3 * group + 3)
        seen = patches[..., own].reshape(-1, 27)
        seen = np.concatenate([seen, np.ones((len(seen), 1))], axis=1)
        wanted = answers[..., own].reshape(-1, 3)
        fit = np.linalg.lstsq(seen, wanted, rcond=None)[0]
        best = np.sqrt(np.mean((seen @ fit - wanted) ** 2))
        weights = np.concatenate(
            [kernel[..., own].reshape(27, 3), [(means[0] - means[1])[own]]]
        )
        found = np.sqrt(np.mean((seen @ weights - wanted) ** 2))
        assert best <= found < best + 0.01 * np.std(wanted)
        plain = model.get_layer("last").kernel[..., own, own]
        sliced = seen[:, :27] @ np.asarray(plain).reshape(27, 3)
        assert found < 0.5 * np.sqrt(np.mean((sliced - wanted) ** 2))


def test_responses_need_images():
    plan = plan_rootify(_responsive(), 2)
    with pytest.raises(ValueError, match="`images` must be given for carry_over"):
        plan.apply("responses")
    with pytest.raises(ValueError, match="`images` must be an array of shape"):
        plan.apply("responses", images=_pixels(8))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"root": np.array([4, 2])}, "`root` as a sequence must hold 1 "),
        ({"seed": -1}, "`seed` must be an integer, 0 or more. Received: seed=-1"),
        ({"seed": "a"}, "`seed` must be an integer"),
        ({"cost": ["macs"]}, "`cost` must be one of"),
        ({"input_shape": (0, 16, 3)}, "`input_shape` must leave"),
    ],
)
def test_impossible_arguments(argument, message):
    model = keras.Sequential(
        [keras.Input((None, None, 3)), _conv(8, 3, "a"), _conv(8, 3, "b")]
    )
    with pytest.raises(ValueError, match=message):
        plan_rootify(model, **{"root": 2, "input_shape": (16, 16, 3), **argument})


def test_an_array_of_groups_is_a_sequence():
    plan = plan_rootify(_chain(_conv(8, 3, "a"), _conv(8, 3, "b")), np.array([4]))
    assert [row.groups for row in plan.layers] == [4]


def test_a_sequential_that_is_not_built_is_refused_with_any_shape():
    model = keras.Sequential([_conv(8, 3, "a"), _conv(8, 3, "b")])
    with pytest.raises(ValueError, match="not built"):
        plan_rootify(model, 2, input_shape=(16, 16, 3))


def test_only_convolutions_have_filter_groups():
    """GroupNormalization has groups too, and a 1x1 with one channel each mixes none."""
    model = _chain(
        _conv(8, 3, "first"),
        _conv(8, 3, "conv"),
        keras.layers.GroupNormalization(4),
        _conv(8, 1, "depthwise", groups=8),
        _conv(8, 1, "point"),
    )
    plan = plan_rootify(model, 4, mix=True)
    assert plan.unmixed == {} and not any(row.mix for row in plan.layers)


def test_a_1x1_takes_a_name_that_is_free():
    model = _chain(*(_conv(8, 3, name) for name in ("first", "one", "one_mix", "two")))
    made = plan_rootify(model, 4, mix=True).apply("slice")
    names = [
        layer.name for layer in made.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert names == [
        "first",
        "one",
        "one_mix1",
        "one_mix",
        "one_mix_mix",
        "two",
        "two_mix",
    ]
    assert made.get_layer("one_mix").groups == 4


def test_a_layer_that_nested_models_share_has_the_name_that_others_know_it_by():
    layer = _conv(8, 3, "conv")
    sides = [keras.Input((8, 8, 8)) for _ in range(2)]
    one, other = (
        keras.Model(side, layer(side), name=name)
        for side, name in zip(sides, ("one", "other"), strict=True)
    )
    image = keras.Input((8, 8, 3))
    x = _conv(8, 3, "first")(image)
    model = keras.Model(image, [one(x), other(x)])
    (row,) = plan_rootify(model, {"one/conv": 2}).layers
    assert (row.name, row.groups) == ("one/conv", 2)
    made = rootify(model, 2)
    kernels = [made.get_layer(n).get_layer("conv").kernel for n in ("one", "other")]
    assert kernels[0] is kernels[1] and kernels[0].shape == (3, 3, 4, 8)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_responses_are_fitted_in_float32(precision):
    """The exact fit is found, though the network answers in 16 bits."""
    model = _responsive()
    half = keras.models.clone_model(
        model,
        clone_function=lambda layer: layer.__class__.from_config(
            {**layer.get_config(), "dtype": precision}
        ),
    )
    half.set_weights(model.get_weights())
    images = _pixels(16, 40) / 255
    made = rootify(half, 2, layers=["middle"], carry_over="responses", images=images)
    assert made.get_layer("middle").groups == 2
    assert made.get_layer("middle").dtype_policy.name == precision
    np.testing.assert_allclose(
        np.asarray(made(images), "float32"), np.asarray(model(images)), rtol=0.05
    )


@pytest.mark.parametrize("how", ["energy", "responses"])
def test_weights_that_are_no_numbers_are_named(how):
    model = _responsive()
    middle = model.get_layer("middle")
    middle.set_weights([np.full(w.shape, np.nan) for w in middle.get_weights()])
    with pytest.raises(ValueError, match="`model` must .* layer 'middle'"):
        rootify(model, 2, layers=["middle"], carry_over=how, images=_pixels(16))


def test_responses_that_are_no_numbers_are_named():
    model = _responsive()
    before = model.get_layer("spread")
    before.set_weights([np.full(w.shape, np.nan) for w in before.get_weights()])
    with pytest.raises(ValueError, match="`model` must answer `images`.*'middle'"):
        rootify(model, 2, carry_over="responses", images=_pixels(16))
