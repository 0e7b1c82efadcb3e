"""What is looked at: every picture of a data set that has features, and these features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import DigestedListing
from featx.errors import DataError
from featx.features.catalog import LayerSet, Selection, list_candidates
from featx.features.dataset import NeededFeatures, keep_featured, list_dataset, select_of_dataset
from featx.features.matrix import Features, name_degenerate
from featx.features.missing import check_names
from featx.requests import InspectRequest
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore


@dataclass(frozen=True)
class Material:
    """What is looked at.

    Attributes
    ----------
    request : InspectRequest
    manifest : DigestedListing
        Every row that has features, copies included.
    base : StoredBase
    layer_set : LayerSet
    X : (n, d) float32
        Rows of unit length, layer by layer.
    """

    request: InspectRequest
    manifest: DigestedListing
    base: StoredBase
    layer_set: LayerSet
    X: NDArray[np.float32]


def open_material(request: InspectRequest) -> Material:
    """List, digest and load everything that is looked at.

    Raises
    ------
    MissingFeatures, DataError
        As `inspect_data`.
    """
    features_request = request.features()
    store = FeatureStore(request.cache)
    check_names(features_request)
    candidates = list_candidates(store, features_request)
    manifest = list_dataset(features_request)
    selection = select_of_dataset(manifest, store, features_request, candidates)
    layer_set = choose_deepest(selection)
    needed = NeededFeatures(selection.request, layer_set.keys, selection.base)
    manifest = keep_featured(manifest, store, [needed])
    check_different(manifest)
    X = Features(store, layer_set.keys, manifest.digests, 1, layer_set.dim).take(np.arange(len(manifest)))
    degenerate = name_degenerate(X.min(axis=0), X.max(axis=0))
    if degenerate:
        raise DataError(
            f"the features of {layer_set.name} ({layer_set.pooling}) are {degenerate}, so they tell no pictures apart: "
            "choose another layer with --layer"
        )
    return Material(request, manifest, selection.base, layer_set, X)


def choose_deepest(selection: Selection) -> LayerSet:
    """Take the deepest of the layer sets that fit; of several poolings of it the first."""
    deepest = selection.layer_sets[-1].name
    return next(layer_set for layer_set in selection.layer_sets if layer_set.name == deepest)


def check_different(manifest: DigestedListing) -> None:
    """Raise DataError if all pictures are one and the same file."""
    if len(manifest) < 2:
        raise DataError(f"'{manifest.listing.name}' has one picture only: there is nothing to compare it with")
    if (manifest.digests == manifest.digests[0]).all():
        raise DataError(
            f"all {len(manifest)} pictures of '{manifest.listing.name}' are the same picture, such as "
            f"'{manifest.listing.paths[0]}': there is nothing to compare"
        )
