"""Pruning: which weights become zero, and that they stay it in training."""

import keras
import numpy as np
import pytest
from helpers import Subclassed
from keras import layers

from keras_roots.layers import GroupedConv2D
from keras_roots.sparsity import prune, sparsity_report


def _model(dtype=None):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(10, 3, name="conv", dtype=dtype)(inputs)
    x = GroupedConv2D(8, 3, groups=2, name="grouped", dtype=dtype)(x)
    x = layers.DepthwiseConv2D(3, name="depthwise", dtype=dtype)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="dense", dtype=dtype)(x))


def _kernels(model):
    names = ("conv", "grouped", "dense")
    return {name: np.asarray(model.get_layer(name).kernel) for name in names}


def _images(count=16):
    return np.random.default_rng(0).normal(size=(count, 8, 8, 3)).astype("float32")


def _train(model, epochs=2):
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    targets = np.random.default_rng(1).normal(size=(16, 4)).astype("float32")
    model.fit(_images(), targets, batch_size=4, epochs=epochs, verbose=0)


@pytest.mark.parametrize("sparsity", [0, 0.25, 0.7, 0.99])
def test_the_smallest_of_each_layer_become_zero(sparsity):
    model = _model()
    before = _kernels(model)
    for name, kernel in _kernels(prune(model, sparsity)).items():
        count = round(sparsity * kernel.size)
        assert (kernel == 0).sum() == count
        kept = kernel != 0
        np.testing.assert_array_equal(kernel[kept], before[name][kept])
        largest = np.sort(np.abs(before[name]).ravel())[count:]
        np.testing.assert_array_equal(np.sort(np.abs(kernel[kept])), largest)
    for name, kernel in _kernels(model).items():
        np.testing.assert_array_equal(kernel, before[name])


def test_global_pruning_takes_more_from_layers_with_small_weights():
    model = _model()
    conv = model.get_layer("conv")
    conv.set_weights([0.01 * weight for weight in conv.get_weights()])
    every = np.concatenate([np.abs(k).ravel() for k in _kernels(model).values()])
    bound = np.sort(every)[round(0.5 * every.size)]
    for name, kernel in _kernels(prune(model, 0.5, scope="global")).items():
        np.testing.assert_array_equal(
            kernel != 0, np.abs(_kernels(model)[name]) >= bound
        )


def test_other_layers_stay():
    model = _model()
    pruned = prune(model, 0.9, layers=["grouped"])
    assert (np.asarray(pruned.get_layer("grouped").kernel) == 0).mean() > 0.85
    for name in ("conv", "depthwise", "dense"):
        assert model.get_layer(name).get_weights()[0].all()
        for one, other in zip(
            model.get_layer(name).get_weights(),
            pruned.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_zeros_stay_in_training_and_after_loading(tmp_path, dtype):
    model = prune(_model(dtype), 0.6)
    zeros = {name: kernel == 0 for name, kernel in _kernels(model).items()}
    for _ in range(2):
        before = _kernels(model)
        _train(model)
        for name, kernel in _kernels(model).items():
            assert not kernel[zeros[name]].any()
            assert (kernel != before[name]).mean() > 0.3
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")


def test_without_pruning_training_fills_zeros():
    """What the constraint is for: the same training without it."""
    model = prune(_model(), 0.6)
    for layer in model.layers:
        if getattr(layer, "kernel_constraint", None) is not None:
            layer.kernel.constraint = None
    _train(model)
    assert (_kernels(model)["conv"] == 0).mean() < 0.05


def test_pruned_further_and_not_less():
    model = prune(_model(), 0.5)
    zeros = _kernels(model)["conv"] == 0
    further = _kernels(prune(model, 0.8))["conv"] == 0
    assert further.mean() == pytest.approx(0.8, abs=0.01)
    assert further[zeros].all()
    less = prune(model, 0.1)
    np.testing.assert_array_equal(_kernels(less)["conv"] == 0, zeros)
    np.testing.assert_array_equal(less.get_layer("conv").kernel_constraint.mask, ~zeros)


def test_a_constraint_of_the_layer_stays():
    inputs = keras.Input((6,))
    constraint = keras.constraints.MaxNorm(0.5)
    layer = layers.Dense(3, kernel_constraint=constraint, name="dense")
    model = prune(prune(keras.Model(inputs, layer(inputs)), 0.3), 0.5)
    held = model.get_layer("dense").kernel_constraint
    kernel = np.asarray(held(keras.ops.ones((6, 3))))
    assert (kernel == 0).sum() == 9
    np.testing.assert_allclose(kernel[kernel != 0], 0.5 / np.sqrt(6), rtol=1e-5)


def test_jax(run_python):
    printed = run_python(
        "import keras, numpy as np\n"
        "from keras_roots.sparsity import prune, sparsity_report\n"
        "dense = [keras.layers.Dense(8), keras.layers.Dense(2)]\n"
        "model = prune(keras.Sequential([keras.Input((10,)), *dense]), 0.5)\n"
        "model.compile('sgd', 'mse')\n"
        "x = np.random.default_rng(0).normal(size=(8, 10))\n"
        "model.fit(x, x[:, :2], epochs=2, verbose=0)\n"
        "model.save('model.keras')\n"
        "print(sparsity_report(keras.models.load_model('model.keras')).zeros)",
        KERAS_BACKEND="jax",
    )
    assert int(printed) == 40 + 8


def test_the_report_counts_zeros():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, name="one")], name="n")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="two")(inner(inputs)))
    kernel = np.ones((4, 5))
    kernel[1] = 0
    inner.layers[0].set_weights([kernel, np.zeros(5)])
    report = sparsity_report(model)
    assert [(r.name, r.zeros, r.weights) for r in report.layers] == [
        ("n/one", 5, 20),
        ("two", 0, 10),
    ]
    assert report.fraction == pytest.approx(5 / 30)
    assert "16.67%" in str(report).splitlines()[-1]
    pruned = sparsity_report(prune(model, 0.4, layers=["n/one"]))
    assert [layer.zeros for layer in pruned.layers] == [8, 0]


@pytest.mark.parametrize("sparsity", [-0.1, 1, 1.5, float("nan"), "0.5", None, False])
def test_impossible_sparsity_is_refused(sparsity):
    with pytest.raises(ValueError, match="`sparsity`.*Received: sparsity="):
        prune(_model(), sparsity)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`scope`.*scope='all'"):
        prune(_model(), 0.5, scope="all")
    with pytest.raises(ValueError, match="Received: nothing"):
        prune(_model(), 0.5, layers=["nothing"])
    with pytest.raises(ValueError, match="has no convolution or dense"):
        prune(keras.Sequential([keras.Input((3,)), layers.ReLU()]), 0.5)
    for function in (lambda model: prune(model, 0.5), sparsity_report):
        with pytest.raises(ValueError, match="functional or Sequential"):
            function(Subclassed())


def test_weights_that_are_no_numbers_are_refused():
    model = _model()
    layer = model.get_layer("grouped")
    layer.set_weights([np.full_like(w, np.nan) for w in layer.get_weights()])
    with pytest.raises(ValueError, match="kernel of layer 'grouped' must be finite"):
        prune(model, 0.5)


def test_lora_is_merged_and_other_classes_stay():
    class Own(keras.layers.Dense):
        pass

    stack = [keras.layers.Dense(8, name="lora"), Own(8), keras.layers.Dense(4)]
    model = keras.Sequential([keras.Input((6,)), *stack])
    stack[0].enable_lora(2)
    stack[0].lora_kernel_b.assign(np.random.default_rng(0).normal(size=(2, 8)))
    pruned = prune(model, 0.5)
    merged = np.array(stack[0].kernel)
    found = np.array(pruned.get_layer("lora").kernel)
    assert (found == 0).sum() == 24
    np.testing.assert_array_equal(found[found != 0], merged[found != 0])
    np.testing.assert_array_equal(pruned.layers[2].kernel, stack[1].kernel)
    assert len(sparsity_report(model).layers) == 2
