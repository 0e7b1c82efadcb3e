"""A data set for classifiers: labels, groups and split of the images that have features. X is loaded elsewhere."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.base_choice import GroupChoice
from featx.data.digest_cache import digest_all
from featx.data.exclusion import leave_out
from featx.data.groups import group_listing
from featx.data.listing import DigestedListing, FailedImage, Listing, check_classes, find_held_out
from featx.data.reading import reading
from featx.data.sources import ColumnChoice, list_images
from featx.errors import DataError, MissingFeatures, shorten, unknown
from featx.features.catalog import Selection, select_features
from featx.features.duplicates import count_once
from featx.features.group_splits import first_rows
from featx.features.groups import group_alone, group_pictures, has_company, split_rows, word_torn
from featx.features.missing import list_layers_and_poolings, missing_features
from featx.features.splits import describe_split
from featx.fields import parse_class_weight
from featx.images.decode import BrokenImage, decode
from featx.keys import FeatureKey, ValueRange
from featx.linear.weighting import Weighting, require_weights
from featx.log import note
from featx.requests import ClassWeight, CompareRequest
from featx.storage.paths import side_folder
from featx.store.base_json import StoredBase
from featx.store.store import FeatureStore
from featx.types import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """The labelled images of a data set, each of them once, in a training and a held-out part.

    Attributes
    ----------
    manifest : DigestedListing
        The n images that have features, with their digests, which are all different.
    classes : list of str
    y : (n,) int
        Places in `classes`.
    groups : (n,) int
        Equal for rows that belong together; all different where nothing says that any do.
    test : (n,) bool
        The held-out rows.
    split : str
        What was held out and what is trained on, in words.
    on_both_sides : str or None
        Pictures that the data set's own split holds on both sides, in words.
    torn_groups : str or None
        Groups that it holds on both sides, in words.
    """

    manifest: DigestedListing
    classes: list[str]
    y: NDArray[np.intp]
    groups: NDArray[np.intp]
    test: NDArray[np.bool_]
    split: str = ""
    on_both_sides: str | None = None
    torn_groups: str | None = None

    @property
    def train(self) -> NDArray[np.bool_]:
        """The training rows: (n,) bool."""
        return ~self.test

    @property
    def listing(self) -> Listing:
        """The images as they were listed."""
        return self.manifest.listing

    @property
    def digests(self) -> NDArray[np.uint8]:
        """Digests of the image files: (n, 32) uint8."""
        return self.manifest.digests

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """How often each image counts in training: (n,) float64; None where all count once."""
        weights = self.listing.weights
        return None if weights is None or (weights == 1).all() else weights

    @property
    def has_groups(self) -> bool:
        """Whether any rows belong together."""
        return has_company(self.groups)

    def weighting(self, class_weight: ClassWeight) -> Weighting | None:
        """Say how much images and classes count in training; None where all count alike.

        Parameters
        ----------
        class_weight : str or mapping of str to float
            As a request states it: "none", "balanced" or weights by name.

        Raises
        ------
        UnknownName
            If it names a class that the data set does not have.
        """
        rule = parse_class_weight(class_weight)
        if rule == "none":
            return None if self.weights is None else Weighting(None, self.weights)
        if isinstance(rule, str):
            return Weighting("balanced", self.weights)
        for name in rule:
            if name not in self.classes:
                raise unknown("class of 'class_weight'", name, self.classes)
        by_code = {self.classes.index(name): weight for name, weight in rule.items()}
        return Weighting(by_code, self.weights)

    @cached_property
    def digest(self) -> str:
        """Digest of images, labels, split, weights and groups, in their order; 64 hex characters."""
        facts: list[Any] = [self.classes, self.y.tolist(), self.test.tolist()]
        # Only stated where there are any, so that results from before are found.
        if self.weights is not None:
            facts.append(self.weights.tolist())
        if self.has_groups:
            _, place = first_rows(self.groups)
            facts.append(["groups", place.tolist()])
        return hashlib.sha256(self.digests.tobytes() + json.dumps(facts).encode()).hexdigest()


@dataclass(frozen=True)
class NeededFeatures:
    """Features that every sound image of a data set must have.

    Attributes
    ----------
    request : CompareRequest
        Who needs them.
    keys : sequence of FeatureKey
    base : StoredBase or None
        The cached base that was found for the request.
    """

    request: CompareRequest
    keys: Sequence[FeatureKey]
    base: StoredBase | None = None


def list_dataset(request: CompareRequest, progress: Progress | None = None, is_split: bool = True) -> DigestedListing:
    """List and digest the images of a data set; each file that cannot be read is named in a warning.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
    is_split : bool
        Whether the images will be split, so that groups matter.

    Raises
    ------
    DataError
        If there is no such data set, or it is empty.
    """
    finds_groups = is_split and request.group_fields() == GroupChoice().group_fields()
    columns = ColumnChoice(request.path_column, request.label_column, request.group_column, finds_groups)
    listing = leave_out(list_images(request.data, side_folder(request.cache), choice=columns), request.exclude)
    if is_split:
        listing = group_listing(listing, request)
    manifest = digest_all(side_folder(request.cache), listing, request.rehash, progress=progress)
    for file in manifest.unreadable:
        log.warning("'%s' is left out: %s", file.path, file.reason)
    return manifest


def load_dataset(
    request: CompareRequest,
    store: FeatureStore,
    keys: Sequence[FeatureKey],
    progress: Progress | None = None,
) -> Dataset:
    """List and digest a data set, and join it with what the store holds of the keys.

    Raises
    ------
    DataError
        If there are too few classes or images.
    MissingFeatures
        If sound images lack features; the error holds the request that computes them.
    """
    manifest = list_dataset(request, progress)
    return join_dataset(request, keep_featured(manifest, store, [NeededFeatures(request, keys)]))


def select_of_dataset(
    manifest: DigestedListing,
    store: FeatureStore,
    request: CompareRequest,
    candidates: Sequence[StoredBase] | None = None,
) -> Selection:
    """Choose the base and the layer sets that a request means for a data set, as `select_features` does.

    Raises
    ------
    DataError
        If nothing is cached because not one of the images can be read: extracting them again would not help.
    FeatxError
        As `select_features` does.
    """
    try:
        return select_features(store, request, manifest.digests, candidates)
    except MissingFeatures:
        check_any_is_sound(manifest, request.base.black_and_white())
        raise


def check_any_is_sound(manifest: DigestedListing, value_range: ValueRange | None) -> None:
    """Raise DataError if not one image of a data set can be read and, by a value range, decoded."""
    first = manifest.unreadable[0] if manifest.unreadable else None
    for row in range(len(manifest)):
        fault = find_fault(manifest.listing, row, value_range)
        if fault is None:
            return
        first = first or FailedImage(manifest.listing.paths[row], fault)
    if first is not None:
        count = len(manifest) + len(manifest.unreadable)
        none_is = "its only image cannot be read" if count == 1 else f"none of its {count} images can be read"
        raise DataError(f"'{manifest.listing.name}': {none_is}, '{first.path}': {first.reason}")


def join_selections(manifest: DigestedListing, store: FeatureStore, selections: Sequence[Selection]) -> Dataset:
    """Join a data set with what one or several requests take from the store; all of them get the same rows.

    Raises
    ------
    DataError
        If there are too few classes or images.
    MissingFeatures
        If sound images lack features; the error holds the request that computes them.
    """
    needed = [NeededFeatures(selection.request, selection.keys, selection.base) for selection in selections]
    return join_dataset(selections[0].request, keep_featured(manifest, store, needed))


def join_dataset(request: CompareRequest, manifest: DigestedListing) -> Dataset:
    """Make labels, groups and split of images that all have features; an image that is listed twice counts once.

    Raises
    ------
    DataError
        If there are too few classes or too few images of a class, weights of images make no sense, or groups that were
        asked for cannot be divided.
    """
    manifest = leave_out_weightless(manifest)
    counted = count_once(manifest)
    for remark in counted.remarks:
        log.warning("%s", remark)
    listed = manifest
    listing = manifest.listing.subset(counted.rows)
    manifest = DigestedListing(listing, manifest.digests[counted.rows], manifest.unreadable)
    check_classes(listing.labels, request.data)
    classes, y = np.unique(np.array(listing.labels), return_inverse=True)
    own = find_held_out(listing.splits)
    groups, test = split_rows(listed, counted.rows, y, own, request.seed)
    check_training_part(classes, y, test, request.data)
    # Where every image is judged in turn, nothing is to be said of one held-out part.
    is_read = request.nested is None
    unmeasured = np.flatnonzero(np.bincount(y[test], minlength=len(classes)) == 0)
    if len(unmeasured) and is_read:
        names = shorten(f"'{classes[code]}'" for code in unmeasured)
        of_them = "it" if len(unmeasured) == 1 else "them"
        log.warning("no image of %s is held out, so the accuracy says nothing of %s", names, of_them)
    named = groups if has_company(groups) else None
    split = describe_split(None if own is None else listing.splits, test, request.seed, named)
    if is_read:
        note(log, split)
    torn = None if named is None or own is None else word_torn(groups, test, listing.paths)
    if torn:
        log.warning("%s", torn)
    return Dataset(manifest, classes.tolist(), y, groups, test, split, counted.on_both_sides, torn)


def leave_out_weightless(manifest: DigestedListing) -> DigestedListing:
    """Leave out images of weight 0, as if they were not listed.

    Raises
    ------
    DataError
        If weights are negative or not finite, or all 0.
    """
    listing = manifest.listing
    if listing.weights is None:
        return manifest
    try:
        weights = require_weights(listing.weights, len(listing))
    except DataError as error:
        raise DataError(f"'{listing.name}': {error}") from error
    kept = np.flatnonzero(weights)
    left_out = len(weights) - len(kept)
    if not left_out:
        return manifest
    fate = "1 image has weight 0 and is" if left_out == 1 else f"{left_out} images have weight 0 and are"
    note(log, f"{fate} left out")
    return DigestedListing(listing.subset(kept.tolist()), manifest.digests[kept], manifest.unreadable)


def join_unlabelled(manifest: DigestedListing) -> Dataset:
    """Make a data set of images without labels: all of the class "", held out where a split of their own says so."""
    splits = manifest.listing.splits
    is_held_out = find_held_out(splits) if "train" in splits else None
    test = np.zeros(len(manifest), bool) if is_held_out is None else is_held_out
    groups = group_alone(manifest.digests)
    if manifest.listing.groups is not None:
        groups = group_pictures(manifest, manifest.listing.groups, range(len(manifest))).codes
    return Dataset(manifest, [""], np.zeros(len(manifest), np.intp), groups, test)


def check_training_part(classes: NDArray[Any], y: NDArray[np.intp], test: NDArray[np.bool_], name: str) -> None:
    """Raise DataError unless the training part has an image of every class; say where none has two of them."""
    counts = np.bincount(y[~test], minlength=len(classes))
    absent = np.flatnonzero(counts == 0)
    if len(absent):
        all_counts = np.bincount(y)
        listed = shorten(f"'{classes[code]}' has {all_counts[code]} images, all of them held out" for code in absent)
        raise DataError(f"'{name}': the training part needs at least one image of every class: {listed}")
    if counts.max() < 2:
        log.warning(
            "no class has two images to train on: hyper-parameters are chosen, and cv accuracy is measured, "
            "on the training images themselves"
        )


def keep_featured(manifest: DigestedListing, store: FeatureStore, needed: Sequence[NeededFeatures]) -> DigestedListing:
    """Leave out broken images, each named in a warning; every other image must have all features that are needed.

    Raises
    ------
    MissingFeatures
        If a sound image lacks features; the error holds the request that computes them.
    """
    missing = np.zeros((len(needed), len(manifest)), bool)
    for missing_here, features in zip(missing, needed, strict=True):
        for key in features.keys:
            missing_here |= store.missing(key, manifest.digests)
    incomplete = missing.any(axis=0)
    if not incomplete.any():
        return manifest
    listing = manifest.listing
    # An image without features is decoded once more: whether it is broken is nowhere kept, and new ones look the same.
    for row in np.flatnonzero(incomplete).tolist():
        transform = needed[0].keys[0].base.transform
        fault = find_fault(listing, row, transform.value_range, transform.least_side)
        if fault is None:
            place = int(missing[:, row].argmax())
            raise images_without_features(needed[place], missing[place], listing.paths[row])
        log.warning("'%s' is left out: %s", listing.paths[row], fault)
    rows = np.flatnonzero(~incomplete)
    return DigestedListing(listing.subset(rows.tolist()), manifest.digests[rows], manifest.unreadable)


def find_fault(listing: Listing, row: int, value_range: ValueRange | None, least_side: int | None = None) -> str | None:
    """Decode an image to see what is wrong with it; None if it is sound."""
    try:
        with reading(listing, row) as data:
            decode(data, value_range, least_side)
    except (BrokenImage, OSError) as error:
        return str(error)
    return None


def images_without_features(needed: NeededFeatures, missing: NDArray[np.bool_], path: str) -> MissingFeatures:
    """Build the error for sound images that have not been extracted, with the extraction of just the needed keys.

    Parameters
    ----------
    missing : (n,) bool
    path : str
        One of the images.
    """
    count = int(missing.sum())
    what = f"{count} of {len(missing)} images have no features yet, such as '{path}'"
    if count == 1:
        what = f"1 of {len(missing)} images has no features yet: '{path}'"
    layers, poolings = list_layers_and_poolings((key.layer, key.pooling) for key in needed.keys)
    request = replace(needed.request, poolings=poolings, store_dtype=needed.keys[0].dtype)
    return missing_features(request, what, layers, needed.base)
