"""A stage that tests of the machine of stages and of its tables run."""

import dataclasses

from keras_roots.training.stages import Stage


@dataclasses.dataclass(frozen=True)
class Biased(Stage):
    """A stage that adds to the biases of the last layer, and says so.

    A `long` one adds as many as it has epochs.
    """

    bias: float = 1.0
    long: bool = False

    def check(self):
        if self.bias > 100:
            raise ValueError("too much")

    def run(self, model, folder, context):
        context.say(f"run {self.name}")
        if self.bias < 0:
            raise ValueError("negative")
        kernel, bias = model.layers[-1].get_weights()
        model.layers[-1].set_weights([kernel, bias + self.bias])
        return model, {"added": self.bias}

    def with_epochs(self, epochs):
        if not self.long:
            return self
        return dataclasses.replace(self, bias=float(epochs)) if epochs else None
