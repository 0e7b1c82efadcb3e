"""The pictures of a data set that are nearest to some images, by cosine between features."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.bases.weights import is_file_name
from featx.data.digest_cache import digest_all
from featx.data.given_images import list_given_images
from featx.data.listing import DigestedListing, FailedImage, Listing
from featx.errors import WeightsError
from featx.features.load import read_matrix
from featx.features.missing import complete_choice
from featx.inspection.material import Material, open_material
from featx.inspection.neighbours import find_nearest_to
from featx.requests import ExtractRequest, SimilarRequest
from featx.storage.paths import side_folder
from featx.store.store import FeatureStore
from featx.types import Progress


class Neighbour(NamedTuple):
    """A picture of the data set: its path, its label and its cosine to the image."""

    path: str
    label: str
    similarity: float


@dataclass(frozen=True)
class SimilarPictures:
    """The nearest pictures of one image, the nearest first."""

    path: str
    neighbours: list[Neighbour]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {"path": self.path, "neighbours": [each._asdict() for each in self.neighbours]}


@dataclass(frozen=True)
class SimilarReport:
    """What `similar` gives: the images in the order given, and those that could not be read."""

    images: list[SimilarPictures]
    failed: list[FailedImage] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {"images": [image.to_dict() for image in self.images], "failed": [asdict(each) for each in self.failed]}


def find_similar(request: SimilarRequest, progress: Progress | None = None) -> SimilarReport:
    """Find the nearest pictures of a data set to each of some images.

    Images without features are extracted, and their features kept. An image of the data set is not its own neighbour;
    copies of it are.

    Parameters
    ----------
    request : SimilarRequest
    progress : callable, optional
        Called with the number of images extracted and to be extracted.

    Returns
    -------
    SimilarReport

    Raises
    ------
    MissingFeatures
        If the data set's features are not cached.
    WeightsError
        If an image has to be extracted and the weights cannot be had.
    DataError
        If there are no images, or the data set cannot be used.
    """
    material = open_material(request)
    cache = side_folder(request.cache)
    listing = list_given_images(request.images, cache=cache)
    digested = digest_all(cache, listing)
    digested, failed = extract_missing(request, material, digested, progress)
    failed = [*digested.unreadable, *failed]
    if not len(digested):
        return SimilarReport([], failed)
    queries = read_matrix(FeatureStore(request.cache), material.layer_set.keys, digested.digests, True)
    # One more, since an image of the data set finds itself.
    nearest = find_nearest_to(queries, material.X, request.k + 1)
    images = []
    for row, path in enumerate(digested.listing.paths):
        neighbours = name_neighbours(material.manifest.listing, nearest.places[row], nearest.similarities[row], path)
        images.append(SimilarPictures(path, neighbours[: request.k]))
    return SimilarReport(images, failed)


def name_neighbours(
    listing: Listing, places: NDArray[np.intp], similarities: NDArray[np.float32], path: str
) -> list[Neighbour]:
    """Name the neighbours of an image, but for the image itself."""
    named = []
    for place, similarity in zip(places.tolist(), similarities.tolist(), strict=True):
        if listing.paths[place] != path:
            named.append(Neighbour(listing.paths[place], listing.labels[place], round(similarity, 6)))
    return named


def extract_missing(
    request: SimilarRequest, material: Material, digested: DigestedListing, progress: Progress | None
) -> tuple[DigestedListing, Sequence[FailedImage]]:
    """Extract the images that have no features yet; give those that have some then, and those that failed."""
    store = FeatureStore(request.cache)

    def find_missing() -> NDArray[np.bool_]:
        missing = np.zeros(len(digested), bool)
        for key in material.layer_set.keys:
            missing |= store.missing(key, digested.digests)
        return missing

    missing = find_missing()
    if not missing.any():
        return digested, []
    # Only here: an image that is cached needs no torch, whose import takes seconds.
    from featx.bases.loading import load_base
    from featx.bases.registry import resolve
    from featx.runners.local import run_with_base

    extraction = make_extraction(request, material)
    architecture = resolve(extraction.base)
    lacking = digested.listing.subset(np.flatnonzero(missing).tolist())
    summary = run_with_base(extraction, load_base(architecture), architecture, lacking, progress)
    there = np.flatnonzero(~find_missing())
    kept = DigestedListing(digested.listing.subset(there.tolist()), digested.digests[there], digested.unreadable)
    return kept, summary.failed


def make_extraction(request: SimilarRequest, material: Material) -> ExtractRequest:
    """Build the request that computes the images as the data set was computed.

    Raises
    ------
    WeightsError
        If that takes a file of weights which only the cache names.
    """
    choice = complete_choice(request.base, material.base)
    if request.base.weights is None and is_file_name(choice.weights or ""):
        raise WeightsError(
            f"the features were computed with weights from the file '{choice.weights}', and a file that a cache names "
            f"is opened only where you name it: add --weights {shlex.quote(choice.weights or '')}"
        )
    keys = material.layer_set.keys
    return ExtractRequest(
        "images",
        choice,
        [key.layer for key in keys],
        (keys[0].pooling,),
        device=request.device,
        cache=request.cache,
        store_dtype=keys[0].dtype,
    )
