"""Cached features of a data set as X, y, groups and split, for a notebook or another library."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featx.errors import RequestError
from featx.features.catalog import list_candidates
from featx.features.dataset import (
    NeededFeatures,
    join_selections,
    join_unlabelled,
    keep_featured,
    list_dataset,
    select_of_dataset,
)
from featx.features.scaling import join
from featx.keys import FeatureKey
from featx.requests import CompareRequest
from featx.store.store import FeatureStore
from featx.types import RowNumbers


@dataclass(frozen=True)
class LabelledFeatures:
    """The features of a data set at one layer or layer set, one row for each image that can be read.

    Attributes
    ----------
    X : (n, d) float32
    y : (n,) int
        Labels as row numbers of `classes`: `data.classes[data.y]` are their names.
    groups : (n,) int
        Equal for rows that show the same image; for `GroupKFold` and its kin.
    classes : (k,) str
        Names of the classes, sorted; only "" where the pictures lie in no class folders.
    paths : (n,) str
        Where each image lies.
    digests : (n, 32) uint8
        sha256 of each image file's bytes.
    train, test : (m,) int
        Row numbers of the training part and of the held-out part, as `compare` and `fit` split them.
    keys : tuple of FeatureKey
        Where the features are from: one key a layer.
    """

    X: NDArray[np.float32] = field(repr=False)
    y: NDArray[np.intp] = field(repr=False)
    groups: NDArray[np.intp] = field(repr=False)
    classes: NDArray[np.str_]
    paths: NDArray[np.str_] = field(repr=False)
    digests: NDArray[np.uint8] = field(repr=False)
    train: RowNumbers = field(repr=False)
    test: RowNumbers = field(repr=False)
    keys: tuple[FeatureKey, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.y)


def load_labelled_features(request: CompareRequest, scaled: bool = True) -> LabelledFeatures:
    """Join a data set with its cached features at one layer or layer set.

    Parameters
    ----------
    request : CompareRequest
        With one layer or layer set and at most one pooling.
    scaled : bool
        Whether rows are scaled to length one, layer by layer, as classifiers see them; False gives them as stored.

    Returns
    -------
    LabelledFeatures
        Images left out are broken ones, each named in a warning.

    Raises
    ------
    RequestError
        If the request fits several layers or poolings.
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    store = FeatureStore(request.cache)
    # A base of which nothing is cached is known before all images are read for their digests.
    list_candidates(store, request)
    manifest = list_dataset(request)
    selection = select_of_dataset(manifest, store, request)
    layer_sets = selection.layer_sets
    if len(layer_sets) > 1:
        choices = ", ".join(f"'{layer_set.name}' ({layer_set.keys[0].pooling})" for layer_set in layer_sets)
        raise RequestError(f"features of one layer and pooling are loaded, but these fit: {choices}. Choose one")
    keys = layer_sets[0].keys
    if manifest.listing.is_labelled:
        dataset = join_selections(manifest, store, [selection])
    else:
        needed = NeededFeatures(selection.request, selection.keys, selection.base)
        dataset = join_unlabelled(keep_featured(manifest, store, [needed]))
    digests = dataset.digests
    return LabelledFeatures(
        X=read_matrix(store, keys, digests, scaled),
        y=dataset.y,
        groups=dataset.groups,
        classes=np.array(dataset.classes),
        paths=np.array(dataset.listing.paths),
        digests=digests,
        train=np.flatnonzero(dataset.train),
        test=np.flatnonzero(dataset.test),
        keys=keys,
    )


def read_matrix(
    store: FeatureStore, keys: tuple[FeatureKey, ...], digests: NDArray[np.uint8], scaled: bool
) -> NDArray[np.float32]:
    """Read the features of images at each key, and put them side by side: (n, d) float32."""
    parts = [store.get(key, digests) for key in keys]
    if scaled:
        return join(parts)
    flat = [part.reshape(len(part), -1) for part in parts]
    return np.hstack(flat).astype(np.float32, copy=False)
