"""The labelled rows of a data set, in train and held-out part."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.digest_cache import digest_all
from featx.data.listing import DigestedListing, check_classes, find_conflicts, find_held_out
from featx.data.sources import list_images
from featx.errors import DataError
from featx.features.catalog import missing_features
from featx.features.splits import hold_out
from featx.images.decode import BrokenImage, decode
from featx.keys import FeatureKey
from featx.requests import CompareRequest
from featx.store.store import FeatureStore


@dataclass(frozen=True)
class Rows:
    """The labelled rows of a data set, in train and held-out part.

    Attributes
    ----------
    manifest : DigestedListing
        Only images that have features.
    classes : list of str
    y : (n,) int
        Places in `classes`.
    groups : (n,) int
        Equal for rows that show the same image.
    test : (n,) bool
        The held-out rows.
    """

    manifest: DigestedListing
    classes: list[str]
    y: NDArray[np.intp]
    groups: NDArray[np.intp]
    test: NDArray[np.bool_]

    @cached_property
    def digest(self) -> str:
        """Digest of images, labels and split, in their order; 64 hex characters."""
        facts = [self.classes, self.y.tolist(), self.test.tolist()]
        return hashlib.sha256(self.manifest.digests.tobytes() + json.dumps(facts).encode()).hexdigest()


def check_parts(classes: NDArray[Any], y: NDArray[np.intp], test: NDArray[np.bool_], name: str) -> None:
    """Raise DataError unless every class has two images to train on; held-out images are at least one."""
    trained = np.bincount(y[~test], minlength=len(classes))
    if (trained < 2).any():
        few = ", ".join(f"'{classes[code]}' ({trained[code]})" for code in np.flatnonzero(trained < 2))
        raise DataError(f"'{name}': the training part needs at least two images of every class, but has of: {few}")


log = logging.getLogger(__name__)


def load_dataset(
    request: CompareRequest,
    store: FeatureStore,
    keys: Sequence[FeatureKey],
    progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Digest the data set, drop images that are broken, and split off the held-out part.

    Raises
    ------
    DataError
        If there are too few classes or images.
    MissingFeatures
        If sound images lack features; the message holds the command that computes them.
    """
    manifest = digest_all(request.cache, list_images(request.data), request.rehash, progress=progress)
    for file in manifest.unreadable:
        log.warning("'%s' is left out: %s", file.path, file.reason)
    have = ~np.any([store.missing(key, manifest.digests) for key in keys], axis=0)
    manifest = keep_featured(request, manifest, have, [key.layer for key in keys])
    for conflict in find_conflicts(manifest):
        log.warning("%s", conflict)
    labels = manifest.listing.labels
    check_classes(labels, request.data)
    classes, y = np.unique(np.array(labels), return_inverse=True)
    _, groups = np.unique(manifest.digests.view("V32").reshape(-1), return_inverse=True)
    test = find_held_out(manifest.listing.splits)
    if test is None:
        test = hold_out_or_explain(y, groups, request)
    check_parts(classes, y, test, request.data)
    return Rows(manifest, classes.tolist(), y, groups, test)


def hold_out_or_explain(y: NDArray[np.intp], groups: NDArray[np.intp], request: CompareRequest) -> NDArray[np.bool_]:
    """Hold out a quarter; where the images are too few for that, say so."""
    try:
        return hold_out(y, groups, request.seed)
    except ValueError as error:
        raise DataError(
            f"'{request.data}' has too few different images to hold out a quarter of each class ({error}): add images"
        ) from error


def keep_featured(
    request: CompareRequest, manifest: DigestedListing, have: NDArray[np.bool_], layers: Sequence[str]
) -> DigestedListing:
    """Drop images without features if they are broken; raise if a sound one has not been extracted."""
    listing = manifest.listing
    lacks = np.flatnonzero(~have).tolist()
    for row in lacks:
        try:
            decode(listing.read(listing.paths[row]))
        except (BrokenImage, OSError) as error:
            log.warning("'%s' is left out: %s", listing.paths[row], error)
            continue
        what = f"{len(lacks)} of {len(have)} images have no features yet, such as '{listing.paths[row]}'"
        raise missing_features(request, what, list(dict.fromkeys(layers)))
    if not len(lacks):
        return manifest
    rows = np.flatnonzero(have)
    return DigestedListing(listing.subset(rows.tolist()), manifest.digests[rows], manifest.unreadable)
