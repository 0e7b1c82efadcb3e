"""Inspection: what cached features say of the pictures and labels of a data set."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.out_of_fold import Setting, score_out_of_fold
from featx.classifiers.registry import CLASSIFIERS, Linear
from featx.classifiers.search import SearchOptions, score_values
from featx.data.groups import suggest_groups
from featx.data.listing import find_held_out
from featx.errors import DataError
from featx.features.dataset import Dataset, join_dataset
from featx.features.splits import make_folds
from featx.inspection.embedding_map import recall_map
from featx.inspection.material import Material, open_material
from featx.inspection.near_duplicates import (
    NEIGHBOURS,
    NearDuplicates,
    Pairs,
    choose_detail,
    confirm_pairs,
    differ_within,
    draw_references,
    group_pairs,
    join_pairs,
    propose_by_pixels,
    propose_pairs,
)
from featx.inspection.neighbours import find_neighbours
from featx.inspection.picture_facts import LookedAt, look_at_pictures
from featx.inspection.picture_quality import find_poor_pictures
from featx.inspection.report import DuplicateGroup, Inspection, Poor, Stranger, SuspectLabel
from featx.inspection.shift import Shift, measure_shift
from featx.inspection.shortcuts import find_shortcuts
from featx.inspection.strangers import Strangers, find_strangers
from featx.inspection.suspect_labels import SuspectLabels, find_suspect_labels
from featx.linear.lapack import one_thread
from featx.linear.weighting import UNWEIGHTED, WeightedLabels
from featx.models.array_classifier import compute_softmax
from featx.processes.background import Background
from featx.requests import InspectRequest
from featx.types import Matrix, Progress

T = TypeVar("T", bound=np.generic)

log = logging.getLogger(__name__)

JUDGE = "logreg"
"""The classifier whose probabilities judge labels: its own are probabilities, and it is the quickest."""

MOST_THUMBNAILS = 100_000
"""Pictures whose thumbnails are all kept, 0.9 GB; of more only those that are near another by features."""

JUDGED_FIRST_FROM = 20_000
"""Pictures from which on labels are judged before pictures are looked at: what a fold of many rows takes, twice the
memory of the features, is free again when thumbnails begin to take theirs."""

ONE_FOLD_FROM = 2000
"""Images from which on one fold chooses C: its accuracy matters little here."""


@dataclass(frozen=True)
class PlacedPicture:
    """A picture, its label, and where it lies on the map."""

    path: str
    label: str
    x: float
    y: float


def map_data(request: InspectRequest) -> list[PlacedPicture]:
    """Place the pictures of a data set on a map, in which near ones lie together; kept in the cache.

    Raises
    ------
    MissingFeatures, DataError
        As `inspect_data`.
    """
    material = open_material(request)
    listing = material.manifest.listing
    _, labels = np.unique(np.array(listing.labels), return_inverse=True)
    digests = hashlib.sha256(material.manifest.digests.tobytes() + labels.astype(np.int64).tobytes()).hexdigest()
    stated = {"keys": [key.to_json() for key in material.layer_set.keys], "rows": digests}
    placed = recall_map(material.X, labels, request.seed, request.cache, stated)
    pictures = []
    for row, x, y in zip(placed.rows, placed.x, placed.y, strict=True):
        pictures += [PlacedPicture(listing.paths[row], listing.labels[row], x, y)]
    return pictures


def inspect_data(request: InspectRequest, progress: Progress | None = None) -> Inspection:
    """Look at the pictures and labels of a data set through cached features.

    Parameters
    ----------
    request : InspectRequest
    progress : callable, optional
        Called with the number of pictures looked at and to be looked at.

    Returns
    -------
    Inspection

    Raises
    ------
    MissingFeatures
        If features are not cached; the error holds the request that computes them.
    DataError
        If the data set cannot be used, or its features tell no pictures apart.
    """
    material = open_material(request)
    listing = material.manifest.listing
    dataset, unfit = join_if_possible(material)
    # Mostly multiplication, which goes on while pictures are decoded.
    judged = None if dataset is None else Background(partial(judge_rows, material, dataset))
    neighbours = find_neighbours(material.X, NEIGHBOURS)
    pairs = propose_pairs(neighbours, request.threshold)
    references = draw_references(neighbours, request.seed)
    near = {row for each in (pairs, references) for row in (*each.first.tolist(), *each.second.tolist())}
    value_range = material.layer_set.keys[0].base.transform.value_range
    if judged is not None and len(listing) >= JUDGED_FIRST_FROM:
        judged.result()
    wanted = range(len(listing)) if len(listing) <= MOST_THUMBNAILS else near
    looked = look_at_pictures(listing, wanted, value_range, progress)
    proposed = [pairs]
    if request.threshold is None:
        proposed.append(propose_by_pixels(looked.thumbnails, material.X))
    duplicates = find_duplicates(material, proposed, references, looked)
    poor = [Poor(listing.paths[row], problem, value) for row, problem, value in find_poor_pictures(looked.facts)]
    poor += [Poor(file.path, "unreadable", None) for file in (*material.manifest.unreadable, *looked.failed)]
    inspection = Inspection(
        images=len(listing),
        classes=len(set(listing.labels)),
        base=material.layer_set.keys[0].base.architecture,
        layer=material.layer_set.name,
        pooling=material.layer_set.pooling,
        near_duplicates=describe_duplicates(material, duplicates, find_held_out(listing.splits)),
        threshold=pairs.threshold,
        poor_pictures=poor,
        group_hint=find_group_hint(material),
        notes=note_unreadable(looked),
    )
    if dataset is None or judged is None:
        return replace(inspection, notes=[*inspection.notes, unfit])
    if find_held_out(listing.splits) is None:
        # What `fit` and `compare` hold out, whose figures such pictures flatter.
        drawn = np.zeros(len(listing), bool)
        drawn[locate_rows(material, dataset)] = dataset.test
        groups = describe_duplicates(material, duplicates, drawn)
        inspection = replace(inspection, near_duplicates=groups, has_drawn_split=True)
    return add_judged(inspection, dataset, judged.result(), looked, request.seed)


def join_if_possible(material: Material) -> tuple[Dataset | None, str]:
    """Join the rows with labels and split; or say why labels cannot be looked at."""
    try:
        return join_dataset(material.request.features(), material.manifest), ""
    except DataError as error:
        return None, f"labels, strangers and shortcuts are not looked at: {error}"


def locate_rows(material: Material, dataset: Dataset) -> NDArray[np.intp]:
    """Find the row of each picture of the data set, (n,), among those whose features were read."""
    row_of = {digest.tobytes(): row for row, digest in enumerate(material.manifest.digests)}
    return np.array([row_of[digest.tobytes()] for digest in dataset.digests], np.intp)


def find_duplicates(
    material: Material, proposed: Sequence[Pairs], references: Pairs, looked: LookedAt
) -> NearDuplicates:
    """Confirm pairs by pixels, and group them; that one list is given up says nothing of the other."""
    digests = material.manifest.digests

    def is_copy(first: int, second: int) -> bool:
        return bool((digests[first] == digests[second]).all())

    least_detail = choose_detail(references, looked.thumbnails)
    confirmed = [confirm_pairs(pairs, is_copy, looked.thumbnails, least_detail) for pairs in proposed]
    return group_pairs(join_pairs(confirmed))


def describe_duplicates(
    material: Material, duplicates: NearDuplicates, held_out: NDArray[np.bool_] | None
) -> list[DuplicateGroup]:
    """Name the pictures of each group; leaks and conflicts first.

    Parameters
    ----------
    material : Material
    duplicates : NearDuplicates
    held_out : (n,) bool or None
        The pictures of the held-out part; None where there is none.
    """
    listing = material.manifest.listing
    described = []
    for rows, weakest in zip(duplicates.groups, duplicates.weakest, strict=True):
        sides = [held_out is not None and bool(held_out[row]) for row in rows]
        group = DuplicateGroup(
            paths=[listing.paths[row] for row in rows],
            labels=[listing.labels[row] for row in rows],
            splits=[listing.splits[row] for row in rows],
            held_out=sides,
            similarity=round(weakest, 6),
            is_leak=any(sides) and not all(sides),
            is_conflict=differ_within(rows, listing.labels),
        )
        described += [group]
    return sorted(described, key=lambda group: (not group.is_leak, not group.is_conflict))


def find_group_hint(material: Material) -> str:
    """Say which groups the names of pictures suggest, where none were given."""
    listing = material.manifest.listing
    if listing.groups is not None or not listing.is_labelled:
        return ""
    return suggest_groups(listing)


def note_unreadable(looked: LookedAt) -> list[str]:
    """Say in one line that pictures which have features cannot be read any more."""
    if not looked.failed:
        return []
    count = len(looked.failed)
    first = looked.failed[0]
    many = "1 picture has features but cannot" if count == 1 else f"{count} pictures have features but cannot"
    return [f"{many} be read any more, such as '{first.path}': {first.reason}; pixels are not compared there"]


@dataclass(frozen=True)
class Judged:
    """What features alone say of labels, of strangers and of the two parts.

    Attributes
    ----------
    rows : (n,) int
        Of the data set's pictures among those whose features were read.
    suspects : SuspectLabels
    strangers : Strangers
    shift : Shift or None
    """

    rows: NDArray[np.intp]
    suspects: SuspectLabels
    strangers: Strangers
    shift: Shift | None


def judge_rows(material: Material, dataset: Dataset) -> Judged:
    """Judge labels by the other pictures, and pictures by those of their class."""
    seed = material.request.seed
    rows = locate_rows(material, dataset)
    X = material.X
    y = spread(dataset.y, rows, len(X))
    # Copies stay where they are, in no fold: features without them would be all features once more.
    folds = [(rows[train], rows[val]) for train, val in make_folds(dataset.y, dataset.groups, seed)]
    shift = None
    # All of it, or the threads that it has would depend on what is looked at beside.
    with one_thread():
        strangers = Background(partial(find_strangers, X, y, folds, seed))
        weighting = dataset.weighting("none") or UNWEIGHTED
        if weighting.rows is not None:
            weighting = replace(weighting, rows=spread(weighting.rows, rows, len(X)))
        probabilities = judge_labels(X, WeightedLabels(y, weighting), folds, seed)
        suspects = find_suspect_labels(probabilities[rows], dataset.y)
        if find_held_out(dataset.listing.splits) is not None:
            shift = measure_shift(X[rows], dataset.test, dataset.groups, seed)
        return Judged(rows, suspects, strangers.result().take(rows), shift)


def spread(values: NDArray[T], rows: NDArray[np.intp], count: int) -> NDArray[T]:
    """Put values (m,) into the rows that they are of, (count,), and zeros into the others."""
    placed = np.zeros(count, values.dtype)
    placed[rows] = values
    return placed


def add_judged(inspection: Inspection, dataset: Dataset, judged: Judged, looked: LookedAt, seed: int) -> Inspection:
    """Add what is known of labels, of strangers and of the two parts, and what facts of the files tell of classes."""
    suspects = judged.suspects
    strangers = judged.strangers
    facts = {place: looked.facts[row] for place, row in enumerate(judged.rows.tolist()) if row in looked.facts}
    paths, labels = dataset.listing.paths, dataset.listing.labels
    return replace(
        inspection,
        suspect_labels=[
            SuspectLabel(paths[row], labels[row], dataset.classes[suspects.suggested[row]], round(float(margin), 6))
            for row, margin in ((row, suspects.margins[row]) for row in suspects.rank().tolist())
        ],
        estimated_wrong=round(suspects.estimated, 1),
        strangers=[
            Stranger(paths[row], labels[row], round(float(strangers.familiarity[row]), 6))
            for row in strangers.rank().tolist()
        ],
        shortcuts=find_shortcuts(facts, dataset.y, dataset.groups, seed),
        shift=judged.shift,
    )


def judge_labels(
    X: Matrix, labels: WeightedLabels, folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]], seed: int
) -> NDArray[np.float64]:
    """Give out-of-fold probabilities of all rows, (n, k) float64; NaN of rows that no fold judges."""
    classifier = CLASSIFIERS[JUDGE]
    if not isinstance(classifier, Linear):
        raise TypeError(f"'{JUDGE}' is not linear")
    choosing = folds[:1] if len(X) >= ONE_FOLD_FROM else folds
    scored = score_values({JUDGE: classifier}, X, labels, choosing)
    params = scored[JUDGE].choose(JUDGE).params
    # Each fold begins from nothing: a solution of the search has seen the very labels that are judged.
    setting = Setting(JUDGE, params, seed, SearchOptions(weighting=labels.weighting))
    scores = score_out_of_fold(setting, X, labels.labels, folds)
    judged = np.flatnonzero(~np.isnan(scores).any(axis=1))
    probabilities = np.full(scores.shape, np.nan)
    probabilities[judged] = compute_softmax(scores[judged])
    return probabilities
