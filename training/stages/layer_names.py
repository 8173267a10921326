"""Convolutions by the text that a command gives for them."""

import re
from collections.abc import Callable

from keras_roots.graph import KINDS
from keras_roots.regularizers import PAPER_LAYERS, paper_layers

HELP = "all, pointwise (1x1s), spatial, or a regular expression for whole names"


def layers_of(text: str, family: str | None = None) -> Callable | str | None:
    """Returns `layers` of decompositions, groups or forces.

    Args:
        text: `"all"`, `"pointwise"`, `"spatial"`, a regular expression for whole names,
            or for forces `"paper"`, the choice of Wen et al. (ICCV 2017).
        family: Registry name of the network, if it is one of the zoo's.

    Raises:
        ValueError: The paper does not treat the network, or it is no expression.
    """
    if text == "all":
        return None
    if text in KINDS:
        return text
    if text == "paper":
        if family not in PAPER_LAYERS:
            raise ValueError(
                "`layers` 'paper' is for the paper's networks, "
                f"{', '.join(sorted(PAPER_LAYERS))}. Received: {family}; "
                "give 'all' or a regular expression"
            )
        return paper_layers(family)
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(
            f"`layers` must be {HELP}, or for forces paper. "
            f"Received: {text!r}, which fails with: {error}"
        ) from error
    return lambda layer: pattern.fullmatch(layer.name) is not None
