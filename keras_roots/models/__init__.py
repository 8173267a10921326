"""Model families, one page each, and the registry of them."""

from keras_roots.models.alexnet import RootAlexNet
from keras_roots.models.builder import channel_axis
from keras_roots.models.convnet import RootConvNet
from keras_roots.models.create import create_model, list_models
from keras_roots.models.googlenet import RootGoogLeNet
from keras_roots.models.name import NetworkName
from keras_roots.models.nin import RootNiN, RootNiNThin
from keras_roots.models.predictions import CIFAR10 as CIFAR10_CLASSES
from keras_roots.models.predictions import decode_predictions
from keras_roots.models.registry import get_constructor
from keras_roots.models.released import DATASETS as RELEASED_DATASETS
from keras_roots.models.released import classes as released_classes
from keras_roots.models.released import entry as released_entry
from keras_roots.models.released import index as released_index
from keras_roots.models.released import is_network, sha256
from keras_roots.models.released import is_whole as is_whole_network
from keras_roots.models.resnet import RootResNet50, RootResNet50Thin, RootResNet200
from keras_roots.models.resnet20 import RootResNet20
from keras_roots.models.topology import TOPOLOGIES, groups_per_stage

__all__ = [
    "CIFAR10_CLASSES",
    "NetworkName",
    "RELEASED_DATASETS",
    "RootAlexNet",
    "RootConvNet",
    "RootGoogLeNet",
    "RootNiN",
    "RootNiNThin",
    "RootResNet20",
    "RootResNet200",
    "RootResNet50",
    "RootResNet50Thin",
    "TOPOLOGIES",
    "channel_axis",
    "create_model",
    "decode_predictions",
    "get_constructor",
    "groups_per_stage",
    "is_network",
    "is_whole_network",
    "list_models",
    "released_classes",
    "released_entry",
    "released_index",
    "sha256",
]
