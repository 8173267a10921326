"""A network's name: its model, filter groups and topology in one text."""

import dataclasses
import inspect
import re
from collections.abc import Sequence

from keras_roots.models import registry
from keras_roots.models.topology import TOPOLOGIES, assign_groups

_DEFAULT = "root"  # The topology that names of Keras models leave out.
_ROOT = r"\d+(?:x\d+)*"
_TEXT = re.compile(rf"(\w+)(?::({_ROOT})(?::([a-z]+))?)?")
_MODEL_NAME = re.compile(
    rf"(\w+?)_(?:({'|'.join(TOPOLOGIES.keys() - {_DEFAULT})})_)?({_ROOT})"
)


@dataclasses.dataclass(frozen=True)
class NetworkName:
    """The name of a network, such as `"root_nin:8:tree"`.

    As a text, the name is `"model"`, `"model:root"` or `"model:root:topology"`; groups
    that are given stage by stage are joined by an "x".

    Attributes:
        model: Registry name of the model.
        root: Filter groups of its first stage or, as a tuple, of every stage; `None`
            for the model's default.
        topology: One of `TOPOLOGIES`; `None` for the model's default.

    Example:
        >>> name = NetworkName.parse("root_nin:8")
        >>> name.groups
        (8, 4)
        >>> str(NetworkName("root_nin", (8, 2)))
        'root_nin:8x2'
    """

    model: str
    root: int | Sequence[int] | None = None
    topology: str | None = None

    @classmethod
    def parse(cls, text: str) -> "NetworkName":
        """Reads a name from its text.

        Raises:
            ValueError: The text is no name. Whether the model exists is not checked.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                "`name` must be a model's, alone or as name:root or "
                "name:root:topology, such as root_nin:8, root_nin:8x4 or "
                f"root_nin:8:tree. Received: {text!r}"
            )
        model, root, topology = match.groups()
        return cls(model, _split(root), topology)

    @classmethod
    def of_entry(cls, entry: dict) -> "NetworkName":
        """Returns the name of the network of an entry of `released_index()`.

        The model's default topology is left out.
        """
        model, root, topology = (entry[key] for key in ("model", "root", "topology"))
        root = tuple(root) if isinstance(root, list) else root
        named = None if topology == _default(model, "topology") else topology
        return cls(model, root, named)

    @classmethod
    def of_model(cls, name: str) -> "NetworkName":
        """Reads a name from the one that constructors give to Keras models.

        Args:
            name: Name of a Keras model, such as `"root_nin_tree_8"`.

        Raises:
            ValueError: No constructor of the registry makes such a name.
        """
        match = _MODEL_NAME.fullmatch(name)
        if match is None or match[1] not in registry.model_names():
            raise ValueError(
                "The network must be a model of the zoo, or made from one, with its "
                f"name, such as root_nin_8. Received: a network named {name!r}"
            )
        model, topology, root = match.groups()
        return cls(model, _split(root), topology or _DEFAULT)

    @property
    def arguments(self) -> dict:
        """The arguments of the constructor that the name gives: `root`, `topology`."""
        values = {"root": self.root, "topology": self.topology}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def groups(self) -> tuple[int, ...]:
        """Filter groups of each stage.

        Raises:
            ValueError: No model has this name, or its layers cannot have these groups.
        """
        layers = registry.grouped_layers(self.model)
        return assign_groups(layers=layers, **self._all_arguments)

    @property
    def model_name(self) -> str:
        """The name that the constructor gives to the Keras model.

        Raises:
            ValueError: No model has this name.
        """
        root, topology = self._all_arguments.values()
        named = () if topology == _DEFAULT else (topology,)
        return "_".join([self.model, *named, _join(root)])

    @property
    def sort_key(self) -> tuple:
        """Sorts `root_nin:8` before `root_nin:16`, and topologies one by one."""
        root = () if self.root is None else self.root
        groups = tuple(root) if isinstance(root, Sequence) else (root,)
        return self.model, self.topology or "", groups

    @property
    def _all_arguments(self) -> dict:
        defaults = {key: _default(self.model, key) for key in ("root", "topology")}
        return defaults | self.arguments

    def __str__(self) -> str:
        root = None if self.root is None else _join(self.root)
        return ":".join(filter(None, (self.model, root, self.topology)))


def _default(model, argument):
    parameters = inspect.signature(registry.get_constructor(model)).parameters
    return parameters[argument].default


def _join(root) -> str:
    return "x".join(map(str, root if isinstance(root, Sequence) else (root,)))


def _split(root):
    if root is None:
        return None
    groups = tuple(map(int, root.split("x")))
    return groups if len(groups) > 1 else groups[0]
