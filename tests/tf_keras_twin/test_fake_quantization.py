"""Ranges and levels of rounded kernels and activations."""

import keras
import numpy as np

from keras_roots.export import LiteRTModel
from keras_roots.tf_keras_twin.quantization import export_int8, quantizable

SHAPE = (6, 6, 3)


def test_ranges_and_levels(network, images):
    """Ranges are the data's; a kernel has 255 levels per filter, symmetric."""
    data = images(SHAPE, 8)
    twin = quantizable(network, data)
    conv = keras.Model(network.inputs, network.get_layer("conv").output)
    exact = np.asarray(conv(data, training=False))
    ranges = {
        weight.name.partition(":")[0].rpartition("/")[2]: weight.numpy()
        for weight in twin.get_layer("quant_conv").non_trainable_weights
    }
    np.testing.assert_allclose(ranges["output_min"], exact.min(), rtol=1e-5)
    np.testing.assert_allclose(ranges["output_max"], exact.max(), rtol=1e-5)
    kernel = network.get_layer("conv").get_weights()[0]
    step = np.abs(kernel).max((0, 1, 2)) / 127
    twin(data, training=False)
    found = np.asarray(twin.get_layer("quant_conv").layer.kernel)
    np.testing.assert_allclose(found, np.round(kernel / step) * step, atol=1e-6)


def test_one_scale_per_kernel(network, images, tmp_path, fit):
    """Clusters stay clusters in the file, though BatchNorm scales each filter."""
    few = np.array([-1.0, -0.4, 0.25, 1.0], "float32")
    layer = network.get_layer("grouped")
    layer.set_weights([np.random.default_rng(0).choice(few, layer.kernel.shape)])
    data = images(SHAPE, 8)
    twin = quantizable(network, data, per_filter=False)
    fit(twin, data, rate=0.0)
    path = tmp_path / "net.tflite"
    report = export_int8(twin, path, data)
    assert report.relative_difference < 0.03
    tensors = LiteRTModel(path, delegate=False)._interpreter
    shapes = {details["index"]: details for details in tensors.get_tensor_details()}
    (kernel,) = [
        tensors.get_tensor(index)
        for index, details in shapes.items()
        if tuple(details["shape"]) == (8, 3, 3, 2)
    ]
    assert sorted(np.abs(np.unique(kernel)).tolist()) == [32, 51, 127, 127]
