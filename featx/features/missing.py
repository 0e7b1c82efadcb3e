"""Errors about features that are not cached, each with the request that computes them. Nothing here needs torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from featx.base_choice import BaseChoice
from featx.bases.names import check_base_name, check_pooling_names, suggested_layer
from featx.bases.weights import is_file_name
from featx.data.sources import check_data
from featx.errors import MissingFeatures, shorten
from featx.keys import format_value_range
from featx.requests import CompareRequest
from featx.storage.paths import CachePath
from featx.store.base_json import StoredBase

LAYER_TO_CHOOSE = "LAYER"
"""What stands for a layer in a command where only the network itself can tell which layers it has."""

UNNAMED_WEIGHTS = ("none", "own")
"""Sources of bases that have no weights to choose: hand-crafted features, and networks that build their own."""


def check_names(request: CompareRequest) -> None:
    """Raise UnknownName for a base or pooling that does not exist."""
    check_base_name(request.base.name)
    check_pooling_names(request.poolings)


def describe_choice(choice: BaseChoice) -> str:
    """Name a base and its weights in words."""
    if choice.weights is None:
        return choice.name
    return f"{choice.name} with weights '{choice.weights}'"


def complete_choice(choice: BaseChoice, base: StoredBase) -> BaseChoice:
    """State every choice that leads to a cached base, so that an extraction computes the same base again."""
    weights = choice.weights
    if weights is None and base.source not in UNNAMED_WEIGHTS:
        weights = base.weights_file or base.source
    choice = replace(choice, weights=weights)
    if base.is_default_transform:
        return choice
    transform = base.id.transform
    decode = choice.decode if transform.decode == "exact" else transform.decode
    return replace(
        choice, resize=transform.resize, crop=transform.crop, value_range=transform.value_range, decode=decode
    )


def list_layers_and_poolings(places: Iterable[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """List the layers and the poolings of pairs of both, each once: what an extraction of all of them names."""
    layers: dict[str, None] = {}
    poolings: dict[str, None] = {}
    for layer, pooling in places:
        layers[layer] = None
        poolings[pooling] = None
    return list(layers), list(poolings)


def missing_features(
    request: CompareRequest, what: str, layers: Sequence[str], base: StoredBase | None = None
) -> MissingFeatures:
    """Build the error that holds the request which computes what is missing.

    Parameters
    ----------
    what : str
        What is missing, in words.
    layers : sequence of str
        Layers to be extracted; none is the one that is commonly tried first.
    base : StoredBase, optional
        The cached base that was found for the request.

    Raises
    ------
    UnknownName
        If nothing could compute it, since there is no such base or pooling.
    DataError
        Likewise, since there is no such data set.
    """
    check_names(request)
    check_data(request.data)
    if base is not None:
        request = replace(request, base=complete_choice(request.base, base))
        # An older base.json states the name of the weights file only, which is no path that a command could take.
        weights = request.base.weights
        if weights and is_file_name(weights) and not Path(weights).expanduser().is_file():
            what += f" (its weights came from the file '{weights}', which is not there: give its path)"
    if not layers:
        layer = suggested_layer(request.base.name)
        layers = [layer or LAYER_TO_CHOOSE]
        if layer is None:
            what += f" (`featx layers {request.base.name}` lists its layers)"
    # An extraction takes the layers of a layer set one by one.
    single_layers = dict.fromkeys(layer for name in layers for layer in name.split("+"))
    return MissingFeatures(what, request.extraction(list(single_layers), request.poolings))


def describe_bases(cache: CachePath, cached: Sequence[StoredBase], wanted: str) -> str:
    """Say of which bases a cache holds features, and where an empty one is: it may be that of another folder.

    Parameters
    ----------
    wanted : str
        Name of the base that was asked for, which may be there in another form only.
    """
    names = list(dict.fromkeys(base.id.architecture for base in cached))
    if wanted in names:
        return f"it holds those of {wanted} with other weights, another transform or precision"
    if names:
        return f"it holds those of {shorten(names)}"
    return f"it is empty or not there: {cache.absolute() if isinstance(cache, Path) else cache}"


def no_features(cache: CachePath, request: CompareRequest, base: StoredBase | None) -> MissingFeatures:
    """Build the error for a data set of which the cache holds nothing that a request could use."""
    what = f"the cache '{cache}' holds no features of {describe_choice(request.base)}"
    if request.poolings:
        what += f" with pooling {shorten(map(repr, request.poolings))}"
    if request.views > 1:
        what += f" with {request.views} views"
    return missing_features(request, f"{what} for the images of '{request.data}'", request.layers, base)


def layers_not_cached(request: CompareRequest, base: StoredBase, places: Sequence[tuple[str, str]]) -> MissingFeatures:
    """Build the error for layers that were asked for by name; places are pairs of layer and pooling."""
    layers, poolings = list_layers_and_poolings(places)
    of_base = describe_choice(request.base)
    what = f"layer {layers[0]!r} of {of_base} is not cached"
    if len(layers) > 1:
        what = f"layers {shorten(map(repr, layers))} of {of_base} are not cached"
    if request.views > 1:
        what += f" with {request.views} views"
    return missing_features(replace(request, poolings=poolings), what, layers, base)


def list_flags_taken(choice: BaseChoice, base: StoredBase) -> list[tuple[str, str]]:
    """List the flags, with their values, by which a cached base differs from what a choice says nothing of."""
    transform = base.id.transform
    flags = []
    if choice.value_range is None and transform.value_range is not None:
        flags.append(("--value-range", format_value_range(*transform.value_range)))
    if choice.decode is None and transform.decode != "exact":
        flags.append(("--decode", transform.decode))
    return flags


def write_choice(base: StoredBase) -> str:
    """Write the flags that choose a cached base among others of its name."""
    transform = base.id.transform
    weights = shlex.quote(base.weights_file or base.source)
    flags = f"--weights {weights} --resize {transform.resize} --crop {transform.crop}"
    if transform.value_range is not None:
        flags += f" --value-range {format_value_range(*transform.value_range)}"
    if transform.decode != "exact":
        flags += f" --decode {transform.decode}"
    return flags
