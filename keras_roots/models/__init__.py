"""Model families, one page each, and the registry of them."""

from keras_roots.models.alexnet import RootAlexNet
from keras_roots.models.convnet import RootConvNet
from keras_roots.models.googlenet import RootGoogLeNet
from keras_roots.models.nin import RootNiN
from keras_roots.models.preact_resnet import RootResNet200
from keras_roots.models.registry import create_model, list_models
from keras_roots.models.resnet import RootResNet50
from keras_roots.models.resnet20 import RootResNet20

__all__ = [
    "RootAlexNet",
    "RootConvNet",
    "RootGoogLeNet",
    "RootNiN",
    "RootResNet20",
    "RootResNet50",
    "RootResNet200",
    "create_model",
    "list_models",
]
