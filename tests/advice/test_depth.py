from __future__ import annotations

import pytest

from featx.advice.depth import find_deepest
from featx.bases.architecture import Architecture
from featx.bases.base import arrange_layers
from featx.bases.layer_table import trace
from featx.bases.registry import find_architecture
from featx.keys import BaseId
from featx.store.base_json import StoredBase


def store(architecture: Architecture) -> StoredBase:
    """What a cache holds of a base: its layers by name and shape."""
    stages = architecture.meta_stages()
    side = architecture.input.crop
    layers = arrange_layers(stages, trace(stages, side).shapes, side)
    fields = tuple({"name": layer.name, "alias": layer.alias, "shape": list(layer.shape)} for layer in layers)
    identity = BaseId(architecture.name, "random", architecture.input)
    return StoredBase(identity, "", fields, True)


@pytest.mark.parametrize(
    ("name", "deepest"),
    [
        ("mobilenet_v2", {"features.18", "avgpool", "flatten"}),
        ("squeezenet1_0", {"features.12"}),
        ("resnet18", {"layer4", "avgpool", "flatten"}),
    ],
)
def test_the_deepest_layer_is_the_last_map_before_the_classifier_and_what_pools_it(
    name: str, deepest: set[str]
) -> None:
    assert find_deepest(store(find_architecture(name, None))) == deepest
