"""Pictures that are copies of one another: near in features, confirmed by pixels, grouped."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.features.scaling import unit_length
from featx.inspection.neighbours import Neighbours, compare_rows, find_alike
from featx.inspection.same_pixels import MIRRORS, SAME_DETAIL, Match, Windows, compare_windows, describe_detail
from featx.linear.lapack import one_thread

NEIGHBOURS = 5
"""Nearest rows of each that are looked at; a group of more copies is joined through those that they share."""

FAR = 1.25
"""Pairs are looked at up to so many times the median distance of the last of these neighbours, which is hardly ever
that of a copy. Copies that are upside down lie as far away as other pictures of the class."""

MOST_PAIRS = 100_000
"""The nearest pairs that are looked at: thumbnails of 200,000 pictures take 1.8 GB."""

REFERENCES = 200
"""Rows whose last neighbour says how alike pictures are that are no copies."""

NEARER = 0.4
"""Where pictures are alike anyway, as digits are, what copies differ in is at most such a share of what others do."""

NEAR_PIXELS = 0.5
"""Correlation of the detail of two thumbnails of 16 x 16 from which on the pair is looked at, too."""

IN_VAIN = 500
"""After so many pairs in a row that are not copies, farther ones are not looked at: they cost a millisecond each."""

KEPT_WINDOWS = 128
"""Pictures whose windows are kept while pairs are compared: 250 KB each."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows that may show the same, those that most likely do first.

    Attributes
    ----------
    first, second : (p,) int
        The first is the smaller row.
    similarities : (p,) float32
        Cosines.
    threshold : float
        The cosine down to which pairs were taken.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    similarities: NDArray[np.float32]
    threshold: float

    def __len__(self) -> int:
        return len(self.first)

    def take(self, places: NDArray[np.intp]) -> Pairs:
        """Give some of the pairs."""
        return Pairs(self.first[places], self.second[places], self.similarities[places], self.threshold)


@dataclass(frozen=True)
class NearDuplicates:
    """Groups of rows that show the same picture.

    Attributes
    ----------
    groups : list of list of int
        Rows, rising; groups in the order of their first row.
    weakest : list of float
        The smallest cosine by which the rows of each group are joined.
    threshold : float
        The smallest cosine that was looked at.
    """

    groups: list[list[int]]
    weakest: list[float]
    threshold: float


def propose_pairs(neighbours: Neighbours, threshold: float | None = None) -> Pairs:
    """List the pairs of near rows.

    Parameters
    ----------
    neighbours : Neighbours
    threshold : float, optional
        Least cosine; None takes it from the distances of nearest neighbours.
    """
    if neighbours.similarities.shape[1] == 0:
        nothing = np.zeros(0, np.intp)
        return Pairs(nothing, nothing, np.zeros(0, np.float32), 1.0)
    if threshold is None:
        threshold = choose_threshold(neighbours)
    rows, places = np.nonzero(neighbours.similarities >= threshold)
    others = neighbours.places[rows, places]
    similarities = neighbours.similarities[rows, places]
    ordered = np.sort(np.column_stack([rows, others]), axis=1)
    pairs, kept = np.unique(ordered, axis=0, return_index=True)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -similarities[kept]))[:MOST_PAIRS]
    return Pairs(pairs[order, 0], pairs[order, 1], similarities[kept][order], float(threshold))


def propose_by_pixels(thumbnails: Mapping[int, NDArray[np.uint8]], X: NDArray[np.float32]) -> Pairs:
    """List pairs whose thumbnails are near as they are or mirrored, whatever their features say, the nearest first.

    Strong compression takes the grain away by which features tell textures apart: of steel saved as JPEG of quality 30
    not one picture had its original among the nearest by features.

    Parameters
    ----------
    thumbnails : mapping of int to (96, 96) uint8
        By row.
    X : (n, d) float32
        Features, of which the cosines of pairs are.
    """
    rows = np.array(sorted(thumbnails), np.intp)
    if len(rows) < 2:
        return Pairs(rows[:0], rows[:0], np.zeros(0, np.float32), 1.0)
    described = np.stack([describe_detail(thumbnails[row]) for row in rows.tolist()])
    unit_details = unit_length(described.reshape(len(rows), -1)).reshape(described.shape)
    del described
    found = []
    for axes in MIRRORS:
        mirrored = np.flip(unit_details, tuple(axis + 1 for axis in axes))
        found.append(find_alike(unit_details.reshape(len(rows), -1), mirrored.reshape(len(rows), -1), NEAR_PIXELS))
    pairs, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-cosines, kind="stable")
    nearest_first = np.sort(pairs[order], axis=1)
    _, kept = np.unique(nearest_first, axis=0, return_index=True)
    joined = rows[nearest_first[np.sort(kept)]]
    return Pairs(joined[:, 0], joined[:, 1], compare_rows(X, joined[:, 0], joined[:, 1]), 1.0)


def join_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Put pairs one behind the other, with the lowest threshold; those that are in several stay in all."""
    return Pairs(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.similarities for part in parts]),
        min(part.threshold for part in parts),
    )


def choose_threshold(neighbours: Neighbours) -> float:
    """Give the cosine that lies `FAR` times as far away as the last of the nearest neighbours in the median.

    Where half of the rows have as many exact copies the median says nothing, and that of the others is taken.
    """
    distances = 1 - neighbours.similarities[:, -1].astype(np.float64)
    apart = distances[distances > 1e-5]
    return 1 - FAR * float(np.median(apart)) if len(apart) else 1 - 1e-5


def draw_references(neighbours: Neighbours, seed: int) -> Pairs:
    """Draw rows, each with the last of its neighbours, which is hardly ever a copy."""
    rows = np.arange(len(neighbours.places)) if neighbours.places.shape[1] else np.zeros(0, np.intp)
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:REFERENCES])
    similarities = neighbours.similarities[drawn, -1] if len(drawn) else np.zeros(0, np.float32)
    others = neighbours.places[drawn, -1] if len(drawn) else drawn
    return Pairs(drawn, others, similarities, -1.0)


def choose_detail(references: Pairs, thumbnails: Mapping[int, NDArray[np.uint8]]) -> float:
    """Say how well copies have to agree in detail, by how well other pictures do.

    Parameters
    ----------
    references : Pairs
        Pairs of pictures that are no copies, most of them.
    thumbnails : mapping of int to (96, 96) uint8
    """
    with one_thread():
        matches = list(compare_pairs(references, lambda first, second: False, thumbnails))
    details = [match.detail for match in matches if match is not None]
    if not details:
        return SAME_DETAIL
    usual = float(np.median(details))
    return max(SAME_DETAIL, 1 - NEARER * (1 - usual))


def confirm_pairs(
    pairs: Pairs,
    is_copy: Callable[[int, int], bool],
    thumbnails: Mapping[int, NDArray[np.uint8]],
    least_detail: float = SAME_DETAIL,
) -> Pairs:
    """Give the pairs whose pixels show the same.

    Parameters
    ----------
    pairs : Pairs
    is_copy : callable
        Whether two rows are of the same bytes, so that nothing need be compared.
    thumbnails : mapping of int to (96, 96) uint8
        By row; pairs that lack one are never the same.
    least_detail : float
        How well they have to agree in detail.
    """
    confirmed: list[int] = []
    unconfirmed = 0
    # Arrays are small here: two threads take longer than one, since each waits for the other at every step. The limit
    # is held throughout, since to set it takes as long as three pairs.
    with one_thread():
        for place, match in enumerate(compare_pairs(pairs, is_copy, thumbnails)):
            is_same = match is not None and match.is_same(least_detail)
            unconfirmed = 0 if is_same else unconfirmed + 1
            if is_same:
                confirmed.append(place)
            if unconfirmed >= IN_VAIN:
                break
    return pairs.take(np.array(confirmed, np.intp))


def compare_pairs(
    pairs: Pairs, is_copy: Callable[[int, int], bool], thumbnails: Mapping[int, NDArray[np.uint8]]
) -> Iterator[Match | None]:
    """Compare the pixels of pairs, one after the other; None where a thumbnail is missing."""
    kept: OrderedDict[int, Windows] = OrderedDict()

    def open_windows(row: int) -> Windows:
        if row not in kept:
            kept[row] = Windows(thumbnails[row])
            if len(kept) > KEPT_WINDOWS:
                kept.popitem(last=False)
        return kept[row]

    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        if is_copy(first, second):
            yield Match(1.0, 1.0, 1.0)
        elif first in thumbnails and second in thumbnails:
            yield compare_windows(open_windows(first), open_windows(second))
        else:
            yield None


def group_pairs(pairs: Pairs) -> NearDuplicates:
    """Join pairs that share a row, in groups."""
    leaders: dict[int, int] = {}

    def find(row: int) -> int:
        while leaders.setdefault(row, row) != row:
            leaders[row] = leaders[leaders[row]]
            row = leaders[row]
        return row

    for first, second in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        low, high = sorted((find(first), find(second)))
        leaders[high] = low
    groups: dict[int, list[int]] = {}
    for row in sorted(leaders):
        groups.setdefault(find(row), []).append(row)
    weakest = dict.fromkeys(groups, np.inf)
    for row, similarity in zip(pairs.first.tolist(), pairs.similarities.tolist(), strict=True):
        weakest[find(row)] = min(weakest[find(row)], similarity)
    return NearDuplicates(list(groups.values()), list(weakest.values()), pairs.threshold)


def differ_within(group: Sequence[int], column: Sequence[object]) -> bool:
    """Whether two rows of a group differ in a column, such as their labels or splits."""
    return len({column[row] for row in group}) > 1
