"""What the cache holds of each layer of a base, for the images of one data set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.keys import FeatureKey
from featx.requests import CompareRequest
from featx.store.base_json import StoredBase
from featx.store.key_summary import KeySummary
from featx.store.store import FeatureStore


@dataclass(frozen=True)
class CachedLayer:
    """What the cache holds of a layer, with one pooling and stored dtype, for the images of a data set.

    Attributes
    ----------
    views : tuple of KeySummary
        One a view, the images as they are first.
    missing : (n,) bool
        Images that lack any of the views.
    seconds_per_image : float
        The least that a pass to this layer alone, or to a deeper one, cost in any run: 0 where nothing says so.
    """

    views: tuple[KeySummary, ...]
    missing: NDArray[np.bool_]
    seconds_per_image: float = 0.0

    @property
    def key(self) -> FeatureKey:
        """The key of the images as they are."""
        return self.views[0].key

    @property
    def lacks(self) -> int:
        """How many of the images lack any of the views."""
        return int(self.missing.sum())

    @property
    def label(self) -> str:
        """Layer and pooling in words."""
        return f"{self.key.layer} ({self.key.pooling})"

    @property
    def measured(self) -> float:
        """Seconds that a pass to this layer alone would have taken for all views of an image."""
        return sum(view.seconds_alone / max(1, view.images) for view in self.views)


CachedLayers = dict[tuple[str, str], CachedLayer]
"""Layer and pooling to what is cached of them, in the order of the folders."""


def list_cached(
    store: FeatureStore, base: StoredBase, request: CompareRequest, digests: NDArray[np.uint8]
) -> CachedLayers:
    """List the layers and poolings that have features of any of these images, with all views asked for.

    Where a layer is cached in two dtypes and none is asked for, the one that lacks fewer images is listed, and of
    equals the more exact one.
    """
    summaries = {summary.key: summary for summary in store.keys(base.id)}
    cached: CachedLayers = {}
    for key in summaries:
        if key.view or request.store_dtype not in (None, key.dtype):
            continue
        layer = find_views(store, summaries, key, request.views, digests)
        # What is cached for other images only is none of this data set's business.
        if layer is None or layer.missing.all():
            continue
        rival = cached.get((key.layer, key.pooling))
        if rival is None or rank_dtype(layer) < rank_dtype(rival):
            cached[key.layer, key.pooling] = layer
    return bound_costs(base, cached)


def list_depths(base: StoredBase) -> dict[str, int]:
    """Give the place of each layer in the order of its base."""
    return {str(layer["name"]): place for place, layer in enumerate(base.layers)}


def bound_costs(base: StoredBase, cached: CachedLayers) -> CachedLayers:
    """Give each layer the least that it or a deeper one has cost, so that costs never fall with depth.

    A pass to a deeper layer goes through every shallower one. Where a shallower one has cost more, it was extracted
    in another run, on a busier machine.
    """
    costs: dict[str, list[float]] = {}
    for layer in cached.values():
        # Parts that somebody else wrote need not say what they cost.
        if layer.measured:
            costs.setdefault(layer.key.layer, []).append(layer.measured)
    least = math.inf
    bounds: dict[str, float] = {}
    for name in reversed(list_depths(base)):
        least = min(least, *costs.get(name, ()), math.inf)
        bounds[name] = least
    bounded: CachedLayers = {}
    for place, layer in cached.items():
        # Of a layer that `base.json` does not list nobody knows how deep it lies.
        seconds = bounds.get(layer.key.layer, layer.measured)
        bounded[place] = replace(layer, seconds_per_image=seconds if math.isfinite(seconds) else 0.0)
    return bounded


def find_views(
    store: FeatureStore,
    summaries: Mapping[FeatureKey, KeySummary],
    key: FeatureKey,
    views: int,
    digests: NDArray[np.uint8],
) -> CachedLayer | None:
    """Find the first views of a key and the images that lack any of them; None where a view is not cached at all."""
    summaries_of_views: list[KeySummary] = []
    missing = np.zeros(len(digests), bool)
    for view in range(views):
        key_of_view = replace(key, view=view)
        if key_of_view not in summaries:
            return None
        summaries_of_views.append(summaries[key_of_view])
        missing |= store.missing(key_of_view, digests)
    return CachedLayer(tuple(summaries_of_views), missing)


def rank_dtype(layer: CachedLayer) -> tuple[int, bool]:
    """Order the stored dtypes of one layer: fewest missing images first, float32 before float16."""
    return layer.lacks, layer.key.dtype != "float32"
