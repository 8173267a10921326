"""The graph of a model: walking it, rewriting it, following its channels."""

from keras_roots.graph.channel_rules import CONVOLUTIONS
from keras_roots.graph.channels import channel_spaces
from keras_roots.graph.connections import Connections
from keras_roots.graph.permute import permute_channels
from keras_roots.graph.removal import FilterRemoval
from keras_roots.graph.selection import KINDS, Selection
from keras_roots.graph.spaces import Spaces
from keras_roots.graph.surgery import (
    Replacement,
    configuration,
    copy_of,
    reconfigure,
    rewrite,
)
from keras_roots.graph.walk import (
    annotate,
    check_built,
    check_graph,
    is_graph,
    operations,
    positional,
    symbolic_inputs,
    walk,
)

__all__ = [
    "CONVOLUTIONS",
    "Connections",
    "FilterRemoval",
    "KINDS",
    "Replacement",
    "Selection",
    "Spaces",
    "annotate",
    "channel_spaces",
    "check_built",
    "check_graph",
    "configuration",
    "copy_of",
    "is_graph",
    "operations",
    "permute_channels",
    "positional",
    "reconfigure",
    "rewrite",
    "symbolic_inputs",
    "walk",
]
