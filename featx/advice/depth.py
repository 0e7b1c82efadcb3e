"""How deep the cached layers of a base reach, by its stored table of layers: no torch is needed for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from featx.bases.names import is_classifier_stage
from featx.evaluation.layer_scores import LayerScore
from featx.store.base_json import StoredBase


def covers_usual_layers(base: StoredBase, scores: Sequence[LayerScore]) -> bool:
    """Whether the layers worth trying are cached: those with aliases, and the last one that is a map, or one after it.

    What `featx.bases.similarity.candidates` says from the network itself, from its table of layers. Networks of tokens
    have no aliases; three of their layers will do.
    """
    places = {str(layer["name"]): place for place, layer in enumerate(base.layers)}
    cached = {score.layer for score in scores}
    aliased = [name for name, layer in zip(places, base.layers, strict=True) if layer.get("alias")]
    if not aliased:
        return len(cached) >= min(3, len(places))
    maps = [
        place for place, layer in enumerate(base.layers) if len(layer["shape"]) == 3 and layer["shape"][1:] != [1, 1]
    ]
    last_maps = [place for place in maps if is_before_classifier(base.layers[place])]
    deepest = max((places[name] for name in cached if name in places), default=-1)
    return set(aliased) <= cached and deepest >= max(last_maps, default=0)


def find_deepest(base: StoredBase) -> frozenset[str]:
    """Name the deepest layer of features, and what only pools or flattens it: nothing from its own classifier on.

    Where no layer has several places to pool, the last one before the classifier is the deepest.
    """
    features = list(takewhile(is_before_classifier, base.layers))
    first = max(0, len(features) - 1)
    for place, layer in enumerate(features):
        if len(layer["shape"]) > 1 and layer["shape"][1:] != [1, 1]:
            first = place
    return frozenset(str(layer["name"]) for layer in features[first:])


def is_before_classifier(layer: Mapping[str, Any]) -> bool:
    """Whether a layer gives features, not classes."""
    return not is_classifier_stage(str(layer["name"]))
