"""The registry of constructors."""

import pytest

import keras_roots
from keras_roots.models import registry


def test_every_model_is_registered_with_its_constructor(model_name, facts):
    assert model_name in registry.model_names()
    constructor = registry.get_constructor(model_name)
    assert constructor is getattr(keras_roots, facts.constructor)
    assert facts.grouped in [each.name for each in registry.grouped_layers(model_name)]


def test_other_names():
    for function in (registry.get_constructor, registry.grouped_layers):
        with pytest.raises(ValueError, match="'root_nin'.*Received: name='resnet50'"):
            function("resnet50")
