"""Networks and how they run."""

from keras_roots.training.reports.performance.trial import Trial


def test_what_the_name_tells():
    for model, family, root in (
        ("root_nin:8", "root_nin", 8),
        ("root_resnet50:64x32:column", "root_resnet50", 64),
        ("keras.applications.ResNet50", "keras.applications.ResNet50", None),
    ):
        assert (Trial(model).family, Trial(model).root) == (family, root)


def test_trials_that_share_a_file():
    many = Trial("root_nin:8", 64, "int8", "latency", threads=4, batch_size=2)
    assert many.conversion == Trial("root_nin:8", 64, "int8", "latency", batch_size=2)
    others = {
        Trial("root_nin:8", 64, None, "latency", runtime, 4).conversion
        for runtime in ("onnxruntime", "openvino")
    }
    (keras,) = others
    assert keras == Trial("root_nin:8", 64, runtime="keras") == keras.conversion
