"""What the cache holds for the images of a data set: which base, and which layer sets. Nothing here needs torch.

A cache is shared by many data sets. Only features of the images at hand count here, so what other data sets left in the
cache never changes what a command does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from featx.base_choice import BaseChoice
from featx.bases.architectures.python_file import architecture_name
from featx.bases.weights import is_file_name
from featx.errors import MissingFeatures, shorten, unknown
from featx.features.cached_layers import CachedLayer, CachedLayers, list_cached, list_depths
from featx.features.digest_weights import digest_weights
from featx.features.missing import (
    complete_choice,
    describe_bases,
    describe_choice,
    layers_not_cached,
    list_flags_taken,
    list_layers_and_poolings,
    missing_features,
    no_features,
    write_choice,
)
from featx.keys import FeatureKey
from featx.requests import CompareRequest
from featx.store.base_json import StoredBase
from featx.store.key_summary import KeySummary
from featx.store.store import FeatureStore

log = logging.getLogger(__name__)


def list_candidates(store: FeatureStore, request: CompareRequest) -> list[StoredBase]:
    """List the cached bases that a choice may mean, whatever images they have features of.

    Raises
    ------
    UnknownName
        If there is no base of this name at all.
    WeightsError
        If the choice names a weights file that cannot be read.
    MissingFeatures
        If nothing is cached of such a base; the error holds the request that computes it.
    """
    choice = request.base
    name = architecture_name(choice.name)
    named = [base for base in store.bases() if base.id.architecture == name]
    digest = None
    if named and choice.weights is not None and is_file_name(choice.weights):
        # Once for all bases: a file of weights is read whole for its digest.
        digest = digest_weights(choice, named)
    candidates = [base for base in named if fits_choice(base, choice, digest)]
    if not candidates:
        what = f"the cache '{store.root}' holds no features of {describe_choice(choice)}"
        others = describe_bases(store.root, store.bases(), name)
        raise missing_features(request, f"{what} ({others})", request.layers)
    return candidates


def fits_choice(base: StoredBase, choice: BaseChoice, weights_digest: str | None) -> bool:
    """Whether a cached base is one that a choice may mean.

    Parameters
    ----------
    weights_digest : str or None
        Digest of the weights file that the choice names; None if it names none.
    """
    transform = base.id.transform
    if choice.precision != base.id.precision:
        return False
    if choice.crop not in (None, transform.crop) or choice.resize not in (None, transform.resize):
        return False
    if choice.value_range is not None and choice.black_and_white() != transform.value_range:
        return False
    if choice.decode not in (None, transform.decode):
        return False
    if weights_digest is not None:
        return weights_digest == base.id.weights
    return choice.weights in (None, base.source)


def find_base(
    store: FeatureStore,
    request: CompareRequest,
    digests: NDArray[np.uint8],
    candidates: Sequence[StoredBase] | None = None,
) -> StoredBase:
    """Find the cached base that a choice names.

    Without `--weights` that is the only one of its name that has features of these images; if several have, the one
    with the base's own transform. Features of pictures that were decoded exactly go before others.

    Parameters
    ----------
    digests : (n, 32) uint8
        The images of the data set.
    candidates : sequence of StoredBase, optional
        What `list_candidates` gave, which reads a file of weights for its digest.

    Raises
    ------
    UnknownName
        If there is no base of this name at all.
    MissingFeatures
        If nothing of it is cached, with the request that would compute it; or if several bases fit.
    """
    if candidates is None:
        candidates = list_candidates(store, request)
    if len(candidates) > 1:
        # Only where it is needed: this reads the headers of all parts of these bases.
        candidates = [base for base in candidates if has_features(store, base, digests)]
        if not candidates:
            raise no_features(store.root, request, None)
    choice = request.base
    if choice.decode is None:
        candidates = [base for base in candidates if base.id.transform.decode == "exact"] or candidates
    if len(candidates) > 1 and (choice.resize, choice.crop, choice.value_range) == (None, None, None):
        candidates = [base for base in candidates if base.is_default_transform] or candidates
    if len(candidates) > 1:
        choices = "; ".join(write_choice(base) for base in candidates)
        raise MissingFeatures(
            f"the cache '{store.root}' holds features of {request.base.name} with {len(candidates)} different weights "
            f"or transforms: choose one with {choices}"
        )
    found = candidates[0]
    for flag, value in list_flags_taken(choice, found):
        log.warning("no %s is given: features with %s %s are taken", flag, flag, value)
    return found


def has_features(store: FeatureStore, base: StoredBase, digests: NDArray[np.uint8]) -> bool:
    """Whether the cache holds any features of these images that a base computed."""
    return any(not store.missing(summary.key, digests).all() for summary in store.keys(base.id))


@dataclass(frozen=True)
class LayerSet:
    """A layer, or several layers whose features are concatenated; the features of each are cached.

    Attributes
    ----------
    parts : tuple of KeySummary
        One a layer, of the images as they are.
    further : tuple of KeySummary
        Further views of the images.
    ms_per_image : float
        Cost of extracting one image, in milliseconds, as `CachedLayer` states it: one pass, to the deepest layer.
    """

    parts: tuple[KeySummary, ...]
    further: tuple[KeySummary, ...] = ()
    # No part of what makes layer sets the same: it changes with every run that extracts.
    ms_per_image: float = field(default=0.0, compare=False)

    @property
    def every_part(self) -> tuple[KeySummary, ...]:
        """The parts and their further views."""
        return (*self.parts, *self.further)

    @property
    def keys(self) -> tuple[FeatureKey, ...]:
        """The keys of the parts."""
        return tuple(part.key for part in self.parts)

    @property
    def every_key(self) -> tuple[FeatureKey, ...]:
        """The keys of the parts and of their further views."""
        return tuple(part.key for part in self.every_part)

    @property
    def name(self) -> str:
        """Name of the layer, or the names of several joined by "+"."""
        return "+".join(key.layer for key in self.keys)

    @property
    def pooling(self) -> str:
        """Pooling of every part."""
        return self.parts[0].key.pooling

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        return sum(math.prod(part.shape) for part in self.parts)

    @property
    def megabytes(self) -> float:
        """Room on disk, in 10^6 bytes."""
        return sum(part.bytes for part in self.every_part) / 1e6


def choose_layer_sets(
    store: FeatureStore, base: StoredBase, request: CompareRequest, digests: NDArray[np.uint8]
) -> list[LayerSet]:
    """List the layer sets that a request asks for: its own, or every layer that is cached for these images.

    What the request leaves open (layers, poolings, dtype) is chosen by the images: the candidates that lack the fewest
    images are taken. Every candidate lacks the broken images, so these have features of all sound images if any
    candidate has; whoever joins the data set checks that.

    Parameters
    ----------
    digests : (n, 32) uint8
        The images of the data set.

    Returns
    -------
    list of LayerSet
        In the order asked, else in the base's order.

    Raises
    ------
    UnknownName
        If the base has no such layer.
    MissingFeatures
        If layers are not cached; the error holds the request that computes all of them.
    """
    cached = list_cached(store, base, request, digests)
    layer_sets = [split_layer_set(base, name) for name in request.layers]
    if layer_sets:
        return choose_named(base, request, cached, list(dict.fromkeys(layer_sets)))
    return choose_cached(store, base, request, cached)


def choose_cached(
    store: FeatureStore, base: StoredBase, request: CompareRequest, cached: CachedLayers
) -> list[LayerSet]:
    """Take every layer that is cached for all images, in the base's order, and warn of those that lack some."""
    candidates: list[CachedLayer] = []
    for pooling in request.poolings or sorted({pooling for _, pooling in cached}):
        candidates += [layer for layer in cached.values() if layer.key.pooling == pooling]
    if not candidates:
        raise no_features(store.root, request, base)
    fewest = min(layer.lacks for layer in candidates)
    warn_of_incomplete(request, base, candidates, fewest)
    # Sorting is stable, so the poolings of a layer keep their order.
    depth = list_depths(base)
    # Layers that an older or foreign base.json does not list come last.
    candidates.sort(key=lambda layer: depth.get(layer.key.layer, len(depth)))
    return [combine([layer]) for layer in candidates if layer.lacks == fewest]


def choose_named(
    base: StoredBase, request: CompareRequest, cached: CachedLayers, layer_sets: Sequence[tuple[str, ...]]
) -> list[LayerSet]:
    """Take the layer sets that a request names, with the poolings that it names or those that the images have."""
    chosen: list[LayerSet] = []
    not_cached: list[tuple[str, str]] = []
    for layers in layer_sets:
        for pooling in request.poolings or choose_poolings(base, request, cached, layers):
            places = [(layer, pooling) for layer in layers]
            if cached.keys() >= set(places):
                chosen.append(combine([cached[place] for place in places]))
            else:
                not_cached += [place for place in places if place not in cached]
    if not_cached:
        raise layers_not_cached(request, base, not_cached)
    return chosen


def choose_poolings(
    base: StoredBase, request: CompareRequest, cached: CachedLayers, layers: Sequence[str]
) -> list[str]:
    """Choose the poolings of a layer set by what is cached of all its layers, for most of the images."""
    poolings_of_first = [pooling for layer, pooling in cached if layer == layers[0]]
    candidates: list[CachedLayer] = []
    lacks: dict[str, int] = {}
    for pooling in poolings_of_first:
        places = [(layer, pooling) for layer in layers]
        if cached.keys() >= set(places):
            of_all = [cached[place] for place in places]
            candidates += of_all
            lacks[pooling] = count_missing(of_all)
    if not lacks:
        # No pooling is cached of all layers: the error will name what the others lack at a pooling of the first.
        return [min(poolings_of_first, key=lambda pooling: cached[layers[0], pooling].lacks, default="avg")]
    fewest = min(lacks.values())
    warn_of_incomplete(request, base, candidates, fewest)
    return [pooling for pooling, count in lacks.items() if count == fewest]


def count_missing(layers: Sequence[CachedLayer]) -> int:
    """Count the images that lack any of several layers."""
    missing = np.zeros_like(layers[0].missing)
    for layer in layers:
        missing |= layer.missing
    return int(missing.sum())


def combine(layers: Sequence[CachedLayer]) -> LayerSet:
    """Make a layer set of cached layers; further views are listed view by view."""
    parts = tuple(layer.views[0] for layer in layers)
    further: list[KeySummary] = []
    for view in range(1, len(layers[0].views)):
        further += [layer.views[view] for layer in layers]
    return LayerSet(parts, tuple(further), 1e3 * max(layer.seconds_per_image for layer in layers))


def warn_of_incomplete(
    request: CompareRequest, base: StoredBase, candidates: Iterable[CachedLayer], fewest: int
) -> None:
    """Name in one warning the layers that are cached for some of the images only, with the command that adds the rest.

    Parameters
    ----------
    fewest : int
        Images that every candidate lacks: broken ones, or new ones that an error will name.
    """
    incomplete = [layer for layer in candidates if layer.lacks > fewest]
    if not incomplete:
        return
    phrases = []
    for layer in incomplete:
        images = len(layer.missing)
        phrases.append(f"{layer.label} is cached for {images - layer.lacks} of {images - fewest} images only")
    layers, poolings = list_layers_and_poolings((layer.key.layer, layer.key.pooling) for layer in incomplete)
    dtypes = {layer.key.dtype for layer in incomplete}
    request = replace(request, base=complete_choice(request.base, base))
    if len(dtypes) == 1:
        request = replace(request, store_dtype=dtypes.pop())
    command = request.extraction(layers, poolings).command()
    to_use = "to use it" if len(phrases) == 1 else "to use them"
    log.warning("%s; %s: %s", shorten(phrases), to_use, command)


def split_layer_set(base: StoredBase, name: str) -> tuple[str, ...]:
    """Resolve the name of a layer set, such as "layer3+layer4", to exact names of layers, repetitions dropped."""
    return tuple(dict.fromkeys(exact_name(base, part) for part in name.split("+")))


def exact_name(base: StoredBase, name: str) -> str:
    """Resolve the alias of a layer by what `base.json` says of the layers.

    Raises
    ------
    UnknownName
        Listing the layers, with the nearest match.
    """
    names = [str(layer["name"]) for layer in base.layers]
    if name in names:
        return name
    aliases: list[str] = []
    for layer in base.layers:
        of_layer = [alias for alias in layer.get("alias", "").split(",") if alias]
        if name in of_layer:
            return str(layer["name"])
        aliases += of_layer
    raise unknown(f"layer of {base.id.architecture}", name, [*aliases, *names])


@dataclass(frozen=True)
class Selection:
    """What a request takes from the cache: one base, and layer sets of it.

    Attributes
    ----------
    request : CompareRequest
    base : StoredBase
    layer_sets : list of LayerSet
    """

    request: CompareRequest
    base: StoredBase
    layer_sets: list[LayerSet]

    @property
    def keys(self) -> list[FeatureKey]:
        """Every key of the layer sets once, further views among them."""
        return list(dict.fromkeys(key for layer_set in self.layer_sets for key in layer_set.every_key))


def select_features(
    store: FeatureStore,
    request: CompareRequest,
    digests: NDArray[np.uint8],
    candidates: Sequence[StoredBase] | None = None,
) -> Selection:
    """Choose the base and the layer sets that a request means, for the images with these digests.

    Parameters
    ----------
    candidates : sequence of StoredBase, optional
        What `list_candidates` gave.

    Raises
    ------
    FeatxError
        As `find_base` and `choose_layer_sets` do.
    """
    base = find_base(store, request, digests, candidates)
    return Selection(request, base, choose_layer_sets(store, base, request, digests))
