"""The nearest rows of every row, by cosine: blocked products in threads, within a bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from featx.features.scaling import unit_length
from featx.linear.lapack import one_thread
from featx.types import Matrix

TILE_ROWS = 1024
TILE_COLUMNS = 8192
"""Rows and columns of one product of a thread: with its order it takes some 100 MB."""

EXACT_ROWS = 20_000
"""Rows up to which every pair is compared in all columns; with 1,280 columns that takes ten seconds of two cores."""

SHORT_COLUMNS = 128
"""Beyond that, pairs are compared in so many principal components first, and the nearest ones in all columns. Copies
lie close to each other in any of them; rows of 1,280 columns take a tenth of the time."""

SPARE = 2
"""So many times as many neighbours are taken in the principal components as are asked for."""

SAMPLE_ROWS = 4096
"""Rows that principal components are computed of."""

NOT_A_NEIGHBOUR = -2.0
"""Below every cosine."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each row, the nearest first, itself left out.

    Attributes
    ----------
    places : (n, k) int
    similarities : (n, k) float32
        Cosines.
    """

    places: NDArray[np.intp]
    similarities: NDArray[np.float32]


def find_neighbours(X: Matrix, count: int) -> Neighbours:
    """Find the nearest rows of every row by cosine.

    Memory: two matrices of the size of X at most, and `TILE_ROWS` x `TILE_COLUMNS` numbers a thread.

    Parameters
    ----------
    X : (n, d) float
        Rows of any length; rows of zeros are nobody's neighbours in particular (cosine 0).
    count : int
        Neighbours of each row; fewer where there are fewer other rows.
    """
    unit = unit_length(X)
    count = min(count, len(unit) - 1)
    if len(unit) <= EXACT_ROWS or unit.shape[1] <= 2 * SHORT_COLUMNS:
        return search_tiles(unit, count)
    short = unit_length(project(unit, SHORT_COLUMNS))
    rough = search_tiles(short, min(SPARE * count, len(unit) - 1))
    return compare_exactly(unit, rough.places, count)


def find_nearest_to(queries: Matrix, X: Matrix, count: int) -> Neighbours:
    """Find the rows of X (n, d) that are nearest to each query (m, d), as `find_neighbours` does: (m, count) each."""
    return search_tiles(unit_length(X), min(count, len(X)), unit_length(queries))


def search_tiles(unit: NDArray[np.float32], count: int, queries: NDArray[np.float32] | None = None) -> Neighbours:
    """Compare all pairs of rows of unit length, a block of rows a thread; without queries, rows with each other."""
    asked = unit if queries is None else queries
    starts = range(0, len(asked), TILE_ROWS)
    # A thread a core, each with one thread of arithmetic: comparing takes as long as multiplying.
    with one_thread():
        blocks: Sequence[Neighbours] = Parallel(cpu_count(), prefer="threads")(
            delayed(search_block)(unit, count, asked[start : start + TILE_ROWS], start if queries is None else None)
            for start in starts
        )
    places = [block.places for block in blocks] or [np.empty((0, count), np.intp)]
    similarities = [block.similarities for block in blocks] or [np.empty((0, count), np.float32)]
    return Neighbours(np.concatenate(places), np.concatenate(similarities))


def search_block(unit: NDArray[np.float32], count: int, queries: NDArray[np.float32], own: int | None) -> Neighbours:
    """Find the nearest rows of some queries, a tile of columns after the other.

    Parameters
    ----------
    own : int or None
        The row that the first query is, where queries are rows of `unit` themselves.
    """
    rows = len(queries)
    places = np.zeros((rows, count), np.intp)
    best = np.full((rows, count), NOT_A_NEIGHBOUR, np.float32)
    for first in range(0, len(unit), TILE_COLUMNS):
        similarities = queries @ unit[first : first + TILE_COLUMNS].T
        if own is not None:
            exclude_own(similarities, own - first)
        # Later tiles hold something nearer for few rows only.
        better = np.flatnonzero(similarities.max(axis=1) > best.min(axis=1, initial=2.0))
        nearest = keep_largest(similarities[better], count)
        joined = np.hstack([best[better], np.take_along_axis(similarities[better], nearest, axis=1)])
        joined_places = np.hstack([places[better], nearest + first])
        kept = keep_largest(joined, count)
        best[better] = np.take_along_axis(joined, kept, axis=1)
        places[better] = np.take_along_axis(joined_places, kept, axis=1)
    return Neighbours(places, best)


def exclude_own(similarities: NDArray[np.float32], offset: int) -> None:
    """Make sure that no row of a tile is its own neighbour: row r is column r + offset."""
    rows = np.arange(len(similarities))
    columns = rows + offset
    is_inside = (columns >= 0) & (columns < similarities.shape[1])
    similarities[rows[is_inside], columns[is_inside]] = NOT_A_NEIGHBOUR


def keep_largest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Give the places of the largest values of each row, the largest first: (n, m) to (n, count)."""
    if count >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")[:, :count]
    if count == 0:
        return np.zeros((len(values), 0), np.intp)
    largest = np.argpartition(-values, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(values, largest, axis=1), axis=1, kind="stable")
    return np.take_along_axis(largest, order, axis=1)


def project(X: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Rotate rows onto their first principal components, by a sample of them: (n, d) to (n, columns) float32."""
    sample = X[:: -(-len(X) // SAMPLE_ROWS)]
    mean = sample.mean(axis=0)
    centred = sample - mean
    # The eigenvectors of the smaller side give those of the other.
    if len(centred) < X.shape[1]:
        _, vectors = np.linalg.eigh(centred @ centred.T)
        vectors = centred.T @ vectors
        vectors /= np.maximum(np.linalg.norm(vectors, axis=0), np.finfo(np.float32).tiny)
    else:
        _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, -columns:]
    return (X @ basis - mean @ basis).astype(np.float32)


def compare_exactly(unit: NDArray[np.float32], candidates: NDArray[np.intp], count: int) -> Neighbours:
    """Order candidates (n, c) by their cosines in all columns, and keep the nearest."""
    similarities = np.empty(candidates.shape, np.float32)
    for first in range(0, len(unit), TILE_ROWS):
        rows = slice(first, first + TILE_ROWS)
        for place in range(candidates.shape[1]):
            similarities[rows, place] = np.einsum("ij,ij->i", unit[rows], unit[candidates[rows, place]])
    kept = keep_largest(similarities, count)
    return Neighbours(np.take_along_axis(candidates, kept, axis=1), np.take_along_axis(similarities, kept, axis=1))
