"""Joins a data set and cached features into arrays that classifiers take. Nothing here needs torch."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from featx.bases.architectures.python_file import architecture_name
from featx.bases.names import check_base_name, check_pooling_names
from featx.bases.weights import digest_file, is_file_name
from featx.errors import MissingFeatures, shorten, unknown
from featx.keys import FeatureKey
from featx.requests import BaseChoice, CompareRequest
from featx.store.base_json import StoredBase
from featx.store.key_summary import KeySummary
from featx.store.store import FeatureStore

log = logging.getLogger(__name__)


def find_base(store: FeatureStore, request: CompareRequest) -> StoredBase:
    """Find the cached base that a choice names.

    Without `--weights` that is the only one of its name, with the base's own transform if there are several.

    Raises
    ------
    UnknownName
        If there is no base of this name at all.
    MissingFeatures
        If nothing of it is cached; the message holds the command that would compute it.
    """
    choice = request.base
    name = architecture_name(choice.name)
    named = [base for base in store.bases() if base.id.architecture == name]
    fitting = [base for base in named if fits(base, choice)]
    if choice.resize is None and choice.crop is None and len(fitting) > 1:
        fitting = [base for base in fitting if base.is_default_transform] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        sources = ", ".join(f"'{base.source}'" for base in fitting)
        raise MissingFeatures(
            f"the cache '{store.root}' holds features of {choice.name} with {len(fitting)} different weights or "
            f"transforms ({sources}): choose with --weights, --resize and --crop"
        )
    raise missing_features(request, f"the cache '{store.root}' holds no features of {describe(choice)}", request.layers)


def check_names(request: CompareRequest) -> None:
    """Raise UnknownName for a base or pooling that does not exist."""
    check_base_name(request.base.name)
    check_pooling_names(request.poolings)


def describe(choice: BaseChoice) -> str:
    """Name a base and its weights in words."""
    return choice.name + (f" with weights '{choice.weights}'" if choice.weights else "")


def fits(base: StoredBase, choice: BaseChoice) -> bool:
    """Whether a cached base is one that a choice may mean."""
    transform = base.id.transform
    if choice.precision != base.id.precision:
        return False
    if choice.crop not in (None, transform.crop) or choice.resize not in (None, transform.resize):
        return False
    if choice.weights is None:
        return True
    if is_file_name(choice.weights):
        return digest_file(Path(choice.weights).expanduser()) == base.id.weights
    return choice.weights == base.source


def missing_features(request: CompareRequest, what: str, layers: Sequence[str]) -> MissingFeatures:
    """Build the error that holds the request which computes what is missing.

    Raises
    ------
    UnknownName
        If nothing could compute it, since there is no such base or pooling.
    """
    check_names(request)
    return MissingFeatures(what, request.extraction(layers or ["layer4"], request.poolings))


@dataclass(frozen=True)
class LayerSet:
    """One row of the table of cut depths: a layer, or a mix of several, of which every part is cached.

    Attributes
    ----------
    parts : tuple of KeySummary
        One a layer, of the images as they are.
    further : tuple of KeySummary
        Their further views.
    """

    parts: tuple[KeySummary, ...]
    further: tuple[KeySummary, ...] = ()

    @property
    def keys(self) -> tuple[FeatureKey, ...]:
        """The keys of the parts."""
        return tuple(part.key for part in self.parts)

    @property
    def every_key(self) -> tuple[FeatureKey, ...]:
        """The keys of the parts and of their further views."""
        return tuple(part.key for part in (*self.parts, *self.further))

    @property
    def name(self) -> str:
        """Name of the layer, or the names of a mix joined by "+"."""
        return "+".join(key.layer for key in self.keys)

    @property
    def dim(self) -> int:
        """Numbers a row."""
        return sum(math.prod(part.shape) for part in self.parts)

    @property
    def megabytes(self) -> float:
        """Room on disk, in 10^6 bytes."""
        return sum(part.bytes for part in (*self.parts, *self.further)) / 1e6

    @property
    def ms_per_image(self) -> float:
        """What extracting one image cost."""
        return 1e3 * sum(part.seconds / max(1, part.images) for part in (*self.parts, *self.further))


def choose_layer_sets(store: FeatureStore, base: StoredBase, request: CompareRequest) -> list[LayerSet]:
    """List the cuts that a request asks for: its layers and mixes, or all layers that are cached in the base's order.

    Raises
    ------
    UnknownName
        If the base has no such layer.
    MissingFeatures
        If layers are not cached; the message holds the command that computes all of them.
    """
    summaries = {summary.key: summary for summary in store.keys(base.id)}
    numbers = range(1, request.views)
    whole = [k for k in summaries if not k.view and all(replace(k, view=view) in summaries for view in numbers)]
    cached = {(key.layer, key.pooling): summaries[key] for key in wanted_dtypes(whole, request)}
    depth = {str(layer["name"]): place for place, layer in enumerate(base.layers)}
    every = [(name,) for name in sorted({layer for layer, _ in cached}, key=depth.__getitem__)]
    asked = [tuple(dict.fromkeys(exact_name(base, part) for part in mix.split("+"))) for mix in request.layers]
    cuts: list[LayerSet] = []
    lacks: list[tuple[str, str]] = []
    for parts in dict.fromkeys(asked or every):
        there = [pooling for layer, pooling in cached if layer == parts[0]]
        common = [pooling for pooling in there if all((part, pooling) in cached for part in parts)]
        for pooling in list(request.poolings) or common or there[:1] or ["avg"]:
            lacks += [(part, pooling) for part in parts if (part, pooling) not in cached]
            if not lacks:
                own = tuple(cached[part, pooling] for part in parts)
                cuts.append(LayerSet(own, tuple(summaries[replace(p.key, view=view)] for view in numbers for p in own)))
    if lacks:
        layers, poolings = (list(dict.fromkeys(column)) for column in zip(*lacks, strict=True))
        named = f"layer{'s' * (len(layers) > 1)} {shorten(repr(layer) for layer in layers)}"
        what = f"{named} of {describe(request.base)} {'are' if len(layers) > 1 else 'is'} not cached"
        what += f" with {request.views} views" if request.views > 1 else ""
        raise missing_features(replace(request, poolings=poolings), what, layers)
    if not cuts:
        raise missing_features(request, f"the cache '{store.root}' holds no features of {describe(request.base)}", ())
    return cuts


def choose_keys(store: FeatureStore, base: StoredBase, request: CompareRequest) -> list[FeatureKey]:
    """List the keys of the cuts that a request asks for, raising as `choose_layer_sets` does."""
    return list(dict.fromkeys(key for cut in choose_layer_sets(store, base, request) for key in cut.keys))


def wanted_dtypes(keys: Sequence[FeatureKey], request: CompareRequest) -> list[FeatureKey]:
    """Keep the keys of the stored dtype asked for; without one, of each layer and pooling only the most exact."""
    if request.store_dtype is not None:
        return [key for key in keys if key.dtype == request.store_dtype]
    exact = {replace(key, dtype="float32") for key in keys if key.dtype == "float32"}
    return [key for key in keys if key.dtype == "float32" or replace(key, dtype="float32") not in exact]


def exact_name(base: StoredBase, asked: str) -> str:
    """Resolve an alias by what `base.json` says of the layers.

    Raises
    ------
    UnknownName
        Listing the layers, with the nearest match.
    """
    for layer in base.layers:
        if layer["name"] == asked:
            return asked
    for layer in base.layers:
        if asked in layer["alias"].split(","):
            return str(layer["name"])
    aliases = [alias for layer in base.layers for alias in layer["alias"].split(",") if alias]
    raise unknown(f"layer of {base.id.architecture}", asked, [*aliases, *(layer["name"] for layer in base.layers)])
