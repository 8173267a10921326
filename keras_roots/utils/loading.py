"""Loading of Keras files."""

import os

import keras


def load_model(path: str | os.PathLike, argument: str = "`path`") -> keras.Model:
    """Loads a Keras file, without what it was compiled with.

    Args:
        path: The `.keras` file.
        argument: What the path was given as, for the message.

    Raises:
        ValueError: There is no such file, or it is damaged or no Keras file.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise ValueError(
            f"{argument} must be an existing .keras file. Received: {path!r}"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            f"{argument} must be a whole .keras file. Received: {path!r}; "
            f"reading it failed with: {error}"
        ) from error
