"""Filter groups for any network."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_roots.convolutions import Layers
from keras_roots.groups.plan import plan_rootify
from keras_roots.groups.schedule import Root


def rootify(
    model: keras.Model,
    root: Root = 64,
    topology: str = "root",
    layers: Layers = None,
    *,
    mix: bool = False,
    carry_over: str | None = "energy",
    images: np.ndarray | None = None,
    seed: int | None = 0,
    input_shape: Sequence | None = None,
) -> keras.Model:
    """Gives the spatial convolutions of a model filter groups.

    Ioannou et al., Deep Roots (CVPR 2017), for networks that are not of this package.
    Every convolution larger than 1x1 becomes a `GroupedConv2D` of the same name, but
    those that take the image, depthwise ones and those that have groups. Maps of one
    resolution make a stage; where a stage's groups do not divide a layer's channels and
    filters, it gets the most groups below that do. `plan_rootify` says beforehand what
    each layer gets.

    A grouped convolution sees the inputs of its own group only. Weights for other
    inputs are lost, and outputs with them: train the result, or `recalibrate` it first.

    Args:
        model: A functional or Sequential model, models within it included. It stays as
            it is.
        root: Filter groups of the first stage, or a tuple: the groups of every stage;
            or a mapping from names of layers to their groups, for these only.
        topology: How groups go on from stage to stage: `"root"` halves them,
            `"column"` keeps them, `"tree"` doubles them.
        layers: Which spatial convolutions get groups: names, or a function of the
            layer; `None` for all.
        mix: Whether to add a 1x1, the identity at first, after grouped convolutions
            that no 1x1, convolution without groups or dense layer follows before the
            next one with groups: their groups would never mix.
        carry_over: Which weights stay. `"energy"`: those of the channels and filters
            that belong together most, which become neighbours; the layers around them
            are permuted, at no cost, where the network allows it. `"responses"`: those
            channels too, and the kernels, as well as those of the 1x1s behind them,
            fitted by least squares to the responses of the dense network to `images`;
            loses least, and takes longest. `"slice"`: those of neighbouring channels
            and filters. `None`: none of grouped convolutions, which start from their
            initialisers.
        images: Sample images, as the model takes them, for `carry_over="responses"`; a
            few hundred of the training set.
        seed: Seed of the search for channels that belong together.
        input_shape: Shape of one image, where the model's own has unknown sides.

    Returns:
        A copy of the model, functional, not compiled.

    Raises:
        ValueError: The model is subclassed or has no convolution to group, or an
            argument is impossible.

    Example:
        >>> small = rootify(keras.applications.ResNet50(), root=64)
        >>> small.get_layer("conv2_block1_2_conv").groups
        64
    """
    return plan_rootify(
        model,
        root,
        topology,
        layers,
        mix=mix,
        carry_over=carry_over,
        images=images,
        seed=seed,
        input_shape=input_shape,
    ).apply()
