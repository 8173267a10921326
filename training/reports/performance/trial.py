"""A network, the file that it is converted to, and how that runs."""

import dataclasses

from keras_roots.models import NetworkName
from keras_roots.training.networks import is_application


@dataclasses.dataclass(frozen=True)
class Trial:
    """A network and how it runs: a row of the results.

    Attributes:
        model: The network, as for `networks.parse_model`.
        side: Height and width of its images, for a network without its classifier,
            whose weights would grow with them; `None` for the network as it is.
        quantize: As for `export_tflite`.
        optimize: As for `export_tflite`.
        runtime: As in `benchmarking.Case`; `"keras"` for the file that all runtimes
            but LiteRT take.
        threads: As in `benchmarking.Case`.
        batch_size: As in `benchmarking.Case`.
    """

    model: str
    side: int | None = None
    quantize: str | None = None
    optimize: str | None = None
    runtime: str = "litert"
    threads: int = 1
    batch_size: int = 1

    @property
    def family(self) -> str:
        """Name of the model without the number of groups."""
        return self.model if self._name is None else self._name.model

    @property
    def root(self) -> int | None:
        """Groups of the first stage, `None` where the name does not tell."""
        root = None if self._name is None else self._name.root
        return root[0] if isinstance(root, tuple) else root

    @property
    def _name(self) -> NetworkName | None:
        if is_application(self.model):
            return None
        return NetworkName.parse(self.model)

    @property
    def conversion(self) -> "Trial":
        """The trial that stands for all of the same file."""
        if self.runtime == "litert":
            return dataclasses.replace(self, threads=1)
        return Trial(self.model, self.side, runtime="keras")
