"""Leaving out the classifiers that only help training."""

import keras


def drop_auxiliary_heads(model: keras.Model) -> tuple[keras.Model, dict[str, str]]:
    """Leaves out outputs that come from layers whose names begin with `aux`.

    GoogLeNet's auxiliary classifiers (`RootGoogLeNet(aux_heads=True)`) are named so.

    Args:
        model: A functional or Sequential model. It stays as it is.

    Returns:
        A model over the same layers, and the change of each output.
    """
    names = [tensor._keras_history.operation.name for tensor in model.outputs]
    auxiliary = [name.startswith("aux") for name in names]
    if not any(auxiliary) or all(auxiliary):
        return model, {}
    kept = [
        tensor
        for tensor, dropped in zip(model.outputs, auxiliary, strict=True)
        if not dropped
    ]
    changes = {
        name: "left out" for name, gone in zip(names, auxiliary, strict=True) if gone
    }
    outputs = kept[0] if len(kept) == 1 else kept
    return keras.Model(model.input, outputs, name=model.name), changes
