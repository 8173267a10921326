"""Embedded data sets: scikit-learn's digits, and a sample of CIFAR-10."""

from importlib import resources

import numpy as np

from keras_roots.models import CIFAR10_CLASSES

Split = tuple[np.ndarray, np.ndarray]


def digits() -> tuple[tuple[str, ...], Split, Split]:
    """Returns scikit-learn's handwritten digits, 8x8, every pixel a 4x4 block.

    Returns:
        Names of the classes; images, uint8 `(n, 32, 32, 3)`, and labels, int64 `(n,)`,
        of 1,438 training and 359 test images.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            "The embedded digits come from scikit-learn: "
            "pip install 'keras_roots[data]'"
        ) from error
    found = datasets.load_digits()
    images = (found.images * (255 / 16)).astype("uint8").repeat(4, 1).repeat(4, 2)
    images = np.repeat(images[..., None], 3, axis=-1)
    labels = found.target.astype("int64")
    order = np.random.default_rng(0).permutation(len(labels))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    return (
        tuple("0123456789"),
        (images[train], labels[train]),
        (images[test], labels[test]),
    )


def cifar10_sample() -> tuple[tuple[str, ...], Split, Split]:
    """Returns a few images of CIFAR-10 (Krizhevsky, 2009), the same of every class.

    They suffice to calibrate a quantisation and to see that a network works, not to
    measure its accuracy.

    Returns:
        As `digits`: 100 training and 400 test images.
    """
    path = resources.files("keras_roots.zoo") / "samples" / "cifar10.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        splits = [(arrays[f"x_{s}"], arrays[f"y_{s}"]) for s in ("train", "test")]
        return (CIFAR10_CLASSES, *splits)


DATASETS = {"digits": digits, "cifar10-sample": cifar10_sample}
