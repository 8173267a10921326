"""Networks whose training is timed."""

import dataclasses
import itertools
from collections.abc import Sequence

import keras

from keras_roots import graph
from keras_roots.layers import GroupedConv2D
from keras_roots.models import NetworkName
from keras_roots.training import data, networks, trainer


@dataclasses.dataclass(frozen=True)
class Trainee:
    """A network to train, and how.

    Attributes:
        name: Name for the results.
        model: The network, without an activation on its one output.
        recipe: How it is trained: batch size, precision, optimiser, augmentation.
        dataset: What it is trained on, to measure the input pipeline too.
    """

    name: str
    model: keras.Model
    recipe: trainer.Recipe
    dataset: data.Dataset | None = None


def make_trainees(
    texts: Sequence[str],
    datasets: Sequence[str] = (),
    *,
    precisions: Sequence[str] = ("float32",),
    batch_size: int | None = None,
    image_size: int | None = None,
    data_dir: str | None = None,
) -> list[Trainee]:
    """Returns networks to train, each in every precision.

    Args:
        texts: Names of networks, such as `"root_nin:8"`, as for `networks.parse_model`.
        datasets: Data set of all networks, or of each; none to train without.
        precisions: As in `Recipe`.
        batch_size: Images per step; `None` for the recipe's, or 128 without data sets.
        image_size: Height and width of the images, where a data set leaves it open.
        data_dir: As for `data.open_dataset`.

    Raises:
        ValueError: An argument is impossible.
    """
    if len(datasets) == 1:
        datasets = [datasets[0]] * len(texts)
    if datasets and len(datasets) != len(texts):
        raise ValueError(
            "`datasets` must be one for all networks, or one for each. "
            f"Received: {len(datasets)} for {len(texts)}"
        )
    opened = {name: data.open_dataset(name, data_dir) for name in set(datasets)}
    cases = []
    for text, name in itertools.zip_longest(texts, datasets):
        dataset = opened.get(name)
        if dataset is None:
            arguments = {"image_size": image_size}
            recipe = trainer.Recipe(
                epochs=1, batch_size=batch_size or 128, learning_rate=1e-3
            )
        else:
            size = dataset.image_size or image_size
            arguments = data.model_arguments(dataset, size)
            recipe = trainer.get_recipe(
                NetworkName.parse(text).model, name, batch_size=batch_size
            )
        model = networks.parse_model(text, classifier_activation=None, **arguments)
        cases += [
            Trainee(text, model, dataclasses.replace(recipe, precision=how), dataset)
            for how in precisions
        ]
    return cases


def with_stock_layers(model: keras.Model) -> keras.Model:
    """Returns a copy of a model with `keras.layers.Conv2D` for `GroupedConv2D`."""

    def replace(layer):
        if not isinstance(layer, GroupedConv2D):
            return None
        config = layer.get_config()
        del config["lowering"]
        return keras.layers.Conv2D.from_config(config)

    return graph.rewrite(model, replace)
