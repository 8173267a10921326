"""The graph of a model: walking it, rewriting it, following its channels."""

from keras_roots.graph.channel_rules import CONVOLUTIONS, ELEMENTWISE
from keras_roots.graph.channels import channel_spaces
from keras_roots.graph.composite import (
    closed_layers,
    expand_composites,
    how_to_open,
    register_composite,
)
from keras_roots.graph.connections import (
    Connections,
    has_kernel,
    heads,
    output_layers,
)
from keras_roots.graph.copies import configuration, copy_of, merged
from keras_roots.graph.kinds import is_a, obstacle
from keras_roots.graph.parts import put_together, take_apart, why_whole
from keras_roots.graph.permute import permute_channels
from keras_roots.graph.program import (
    Program,
    check_built,
    check_graph,
    is_graph,
    positional,
)
from keras_roots.graph.removal import FilterRemoval
from keras_roots.graph.selection import KINDS, Selection
from keras_roots.graph.spaces import Spaces
from keras_roots.graph.surgery import Replacement, reconfigure, rewrite
from keras_roots.graph.walk import annotate, operations, symbolic_inputs, walk

__all__ = [
    "CONVOLUTIONS",
    "Connections",
    "ELEMENTWISE",
    "FilterRemoval",
    "KINDS",
    "Program",
    "Replacement",
    "Selection",
    "Spaces",
    "annotate",
    "channel_spaces",
    "check_built",
    "check_graph",
    "closed_layers",
    "configuration",
    "copy_of",
    "expand_composites",
    "has_kernel",
    "heads",
    "how_to_open",
    "is_a",
    "is_graph",
    "merged",
    "obstacle",
    "operations",
    "output_layers",
    "permute_channels",
    "positional",
    "put_together",
    "reconfigure",
    "register_composite",
    "rewrite",
    "symbolic_inputs",
    "take_apart",
    "walk",
    "why_whole",
]
