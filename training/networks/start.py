"""The network that a command starts from, as options."""

import keras

from keras_roots import models
from keras_roots.training import data
from keras_roots.training.networks import applications, examples
from keras_roots.training.options import limits_of, option, options
from keras_roots.utils import load_model


@options
class Zoo:
    """A network of the zoo."""

    model: str = option(
        "root_nin", "Model to build; keras_roots.list_models() names them."
    )
    root: int | tuple[int, ...] = option(
        1,
        "Filter groups of the first stage (1: the dense network), or the groups of "
        "every stage, separated by commas.",
    )
    topology: str = option(
        "root",
        "Whether groups halve, stay or double from stage to stage.",
        choices=tuple(models.TOPOLOGIES),
    )
    weights: str | None = option(
        None,
        "Weights to start from: the data set of released weights (cifar10), or a file "
        "(NAME.weights.h5, ./NAME).",
    )
    image_size: int | None = option(
        None,
        "Height and width of the images, in pixels; by default the model's own.",
        least=1,
    )

    @property
    def name(self) -> models.NetworkName:
        """Name of the network."""
        return models.NetworkName(self.model, self.root, self.topology)

    def released(self) -> dict | None:
        """Returns the entry of the network in the zoo's index.

        Returns:
            `None` if it is not released, or the size of its images is chosen.
        """
        if self.image_size is not None:
            return None
        return models.released_entry(self.name, self.weights)

    def start(self, dataset: data.Dataset, **arguments) -> keras.Model:
        """Builds the network for a data set.

        Args:
            dataset: Tells the classes, and the size of the images where all have one
                and `image_size` is not given.
            **arguments: Further arguments of the constructor.

        Raises:
            ValueError: An option is impossible.
        """
        return self.build(len(dataset.class_names), dataset.image_size, **arguments)

    def build(
        self, classes: int | None = None, image_size: int | None = None, **arguments
    ) -> keras.Model:
        """Builds the network.

        Args:
            classes: Number of classes, if not the family's.
            image_size: Height and width of the images where the option does not give
                them; `None` for the family's. A released network that is loaded whole
                has its own.
            **arguments: Further arguments of the constructor.

        Raises:
            ValueError: An option is impossible.
        """
        size = self.image_size
        if size is None and not models.is_network(self.weights):
            size = image_size
        if classes is not None:
            arguments["classes"] = classes
        if size is not None:
            last = models.channel_axis() == -1
            arguments["input_shape"] = (size, size, 3) if last else (3, size, size)
        return models.create_model(
            self.model,
            root=self.root,
            topology=self.topology,
            weights=self.weights,
            **arguments,
        )

    def describe(self) -> dict:
        """Returns the options by the names of their flags, for a configuration."""
        return {
            limits.flag or field.name: getattr(self, field.name)
            for field, limits in limits_of(type(self)).items()
        }


@options
class Start(Zoo):
    """The network that a command starts from: of the zoo, or from elsewhere."""

    path: str | None = option(
        None,
        "A .keras file to take instead of building --model. For compress and rootify "
        "also keras.applications.NAME, with its ImageNet weights; except for "
        "imagenet2012 its head is new and random: the baseline of keras-roots-compress "
        "trains it, for --epochs.",
        flag="from",
    )

    def start(self, dataset: data.Dataset) -> keras.Model:
        """Loads or builds the network for a data set.

        Args:
            dataset: As for `Zoo.start`; a file is taken as it is.

        Raises:
            ValueError: The file is no Keras file, or an option is impossible.
            OSError: ImageNet weights cannot be downloaded.
        """
        if applications.is_application(self.path):
            return applications.start(self.path, dataset, self.image_size)
        return super().start(dataset)

    def build(
        self, classes: int | None = None, image_size: int | None = None
    ) -> keras.Model:
        """Loads the file, or builds the network as `Zoo.build` does.

        Args:
            classes: As for `Zoo.build`.
            image_size: As for `Zoo.build`.

        Raises:
            ValueError: The file is no Keras file, or an option is impossible.
        """
        if self.path is not None:
            return load_model(self.path)
        return super().build(classes, image_size)

    def check_trained(self) -> None:
        """Checks that the options name one trained network.

        Raises:
            ValueError: They name none, or two.
        """
        if (self.path is None) == (self.weights is None):
            raise ValueError(
                "A trained network is needed: a .keras file, or a `model` with "
                f"`weights`, not both. Received: path={self.path!r}, "
                f"weights={self.weights!r}"
            )


def parse_model(text: str, image_size: int | None = None, **arguments) -> keras.Model:
    """Builds a model of the zoo, `keras.applications` or the examples, or loads one.

    Args:
        text: As for `create_model`, for instance `"root_nin:8"`;
            `"keras.applications.VGG16"`; `"examples.unet"`; or the path of a `.keras`
            file.
        image_size: Height and width of the images; `None` for those that the network
            was published with. A file has its own.
        **arguments: Other arguments of its constructor.

    Raises:
        ValueError: There is no such model, or its constructor refuses an argument.
        ImportError: It comes with a package that is not installed.
    """
    if text.endswith(".keras"):
        return load_model(text)
    if examples.is_example(text):
        return examples.create(text, image_size)
    applied = applications.is_application(text)
    if applied and "input_shape" not in arguments:
        image_size = image_size or applications.default_size(text)
    if image_size is not None:
        last = models.channel_axis() == -1
        sides = (image_size, image_size)
        arguments["input_shape"] = (*sides, 3) if last else (3, *sides)
    create = applications.create if applied else models.create_model
    return create(text, **arguments)


def is_trained(text: str) -> bool:
    """Returns whether `parse_model` gives a network trained weights."""
    return text.endswith(".keras") or examples.is_trained(text)
