"""The nearest rows of every row, by cosine: blocked products in threads, within a bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from featx.features.scaling import measure_lengths, unit_length
from featx.linear.lapack import one_thread
from featx.models.neighbours import NOT_A_NEIGHBOUR, keep_largest, take_largest
from featx.types import Matrix

TILE_ROWS = 1024
TILE_COLUMNS = 4096
"""Rows and columns of one product of a thread: it takes 16 MB."""

EXACT_ROWS = 20_000
"""Rows up to which every pair is compared in all columns; with 1,280 columns that takes ten seconds of two cores."""

SHORT_COLUMNS = 128
"""Beyond that, pairs are compared in so many principal components first, and the nearest ones in all columns. Copies
lie close to each other in any of them; rows of 1,280 columns take a tenth of the time."""

SPARE = 2
"""So many times as many neighbours are taken in the principal components as are asked for."""

SAMPLE_ROWS = 4096
"""Rows that principal components are computed of."""


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

    Memory: of few rows a matrix of the size of X, of many their principal components; and `TILE_ROWS` x `TILE_COLUMNS`
    numbers a thread.

    Parameters
    ----------
    X : (n, d) float
        Rows of any length; rows of zeros are nobody's neighbours in particular (cosine 0).
    count : int
        Neighbours of each row; fewer where there are fewer other rows.
    """
    count = min(count, len(X) - 1)
    if len(X) <= EXACT_ROWS or X.shape[1] <= 2 * SHORT_COLUMNS:
        return search_tiles(unit_length(X), count)
    short = unit_length(project(X, SHORT_COLUMNS))
    rough = search_tiles(short, min(SPARE * count, len(X) - 1))
    return compare_exactly(X, rough.places, count)


def find_nearest_to(queries: Matrix, X: Matrix, count: int) -> Neighbours:
    """Find the rows of X (n, d) that are nearest to each query (m, d), as `find_neighbours` does: (m, count) each."""
    return search_tiles(unit_length(X), min(count, len(X)), unit_length(queries))


def find_alike(
    unit: NDArray[np.float32], mirrored: NDArray[np.float32], least: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Pair each row with the one whose mirror image is nearest to it, where that is near: (p, 2) int, and cosines (p,).

    A row is as near to another's mirror image as that other is to its own, so half of the products are enough.

    Parameters
    ----------
    unit : (n, d) float32
        Rows of unit length.
    mirrored : (n, d) float32
        Their mirror images, or the rows themselves; a row and its own are no pair.
    least : float
        Cosine of what is near.
    """
    # Threads read and write it without a lock: what another has just overwritten lets more through and loses nothing.
    highest = np.full(len(unit), least, np.float32)
    with one_thread():
        blocks = Parallel(cpu_count(), prefer="threads")(
            delayed(compare_onward)(unit, mirrored, highest, start) for start in range(0, len(unit), TILE_ROWS)
        )
    rows, others, similarities = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    order = np.lexsort((others, -similarities, rows))
    _, nearest = np.unique(rows[order], return_index=True)
    kept = order[nearest]
    return np.column_stack([rows[kept], others[kept]]), similarities[kept]


def compare_onward(
    unit: NDArray[np.float32], mirrored: NDArray[np.float32], highest: NDArray[np.float32], start: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Compare a block of rows with itself and all rows behind it: rows, what is nearest to each there, and cosines.

    Parameters
    ----------
    unit, mirrored : (n, d) float32
        As in `find_alike`.
    highest : (n,) float32
        The highest cosine of each row so far, which is brought up to date; lower ones are left out.
    start : int
        The first row of the block.
    """
    own = highest[start : start + TILE_ROWS]
    queries = unit[start : start + TILE_ROWS]
    found = []
    for first, similarities in multiply_tiles(queries, mirrored, start):
        exclude_own(similarities, start - first)
        of_rows = similarities.max(axis=1)
        rows = np.flatnonzero(of_rows >= own)
        found.append((start + rows, first + similarities[rows].argmax(axis=1), of_rows[rows]))
        own[rows] = of_rows[rows]
        behind = highest[first : first + TILE_COLUMNS]
        of_columns = similarities.max(axis=0)
        columns = np.flatnonzero(of_columns >= behind)
        found.append((first + columns, start + similarities[:, columns].argmax(axis=0), of_columns[columns]))
        behind[columns] = of_columns[columns]
    rows, others, cosines = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, others, cosines


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
    for first, similarities in multiply_tiles(queries, unit, 0):
        if own is not None:
            exclude_own(similarities, own - first)
        nearest, of_nearest = take_largest(similarities, count)
        joined = np.hstack([best, of_nearest])
        joined_places = np.hstack([places, nearest + first])
        kept = keep_largest(joined, count)
        best = np.take_along_axis(joined, kept, axis=1)
        places = np.take_along_axis(joined_places, kept, axis=1)
    return Neighbours(places, best)


def multiply_tiles(
    queries: NDArray[np.float32], unit: NDArray[np.float32], start: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Multiply queries (m, d) by rows (n, d) from a certain one on: the first row of each tile, and cosines (m, t).

    All tiles lie in the same memory: what is read of one is gone with the next.
    """
    memory = np.empty((len(queries), min(TILE_COLUMNS, len(unit) - start)), np.float32)
    for first in range(start, len(unit), TILE_COLUMNS):
        rows = unit[first : first + TILE_COLUMNS]
        yield first, np.matmul(queries, rows.T, out=memory[:, : len(rows)])


def exclude_own(similarities: NDArray[np.float32], offset: int) -> None:
    """Make sure that no row of a tile is its own neighbour: row r is column r + offset."""
    rows = np.arange(len(similarities))
    columns = rows + offset
    is_inside = (columns >= 0) & (columns < similarities.shape[1])
    similarities[rows[is_inside], columns[is_inside]] = NOT_A_NEIGHBOUR


def project(X: Matrix, columns: int) -> NDArray[np.float32]:
    """Rotate rows, brought to length one, onto their first principal components: (n, d) to (n, columns) float32.

    Components are those of a sample of the rows.
    """
    sample = unit_length(X[:: -(-len(X) // SAMPLE_ROWS)])
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
    offset = mean @ basis
    short = np.empty((len(X), columns), np.float32)
    for first in range(0, len(X), TILE_ROWS):
        rows = slice(first, first + TILE_ROWS)
        short[rows] = unit_length(X[rows]) @ basis - offset
    return short


def compare_rows(X: Matrix, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float32]:
    """Give the cosines of pairs of rows: features (n, d), rows (p,) each, to (p,)."""
    cosines = np.empty(len(first), np.float32)
    for start in range(0, len(first), TILE_ROWS):
        some = slice(start, start + TILE_ROWS)
        cosines[some] = np.einsum("ij,ij->i", unit_length(X[first[some]]), unit_length(X[second[some]]))
    return cosines


def compare_exactly(X: Matrix, candidates: NDArray[np.intp], count: int) -> Neighbours:
    """Order candidates (n, c) of rows (n, d) by their cosines in all columns, and keep the nearest."""
    lengths = measure_lengths(X)
    similarities = np.empty(candidates.shape, np.float32)
    for first in range(0, len(X), TILE_ROWS):
        rows = slice(first, first + TILE_ROWS)
        unit = X[rows] / lengths[rows, None]
        for place in range(candidates.shape[1]):
            others = candidates[rows, place]
            similarities[rows, place] = np.einsum("ij,ij->i", unit, X[others] / lengths[others, None])
    kept = keep_largest(similarities, count)
    return Neighbours(np.take_along_axis(candidates, kept, axis=1), np.take_along_axis(similarities, kept, axis=1))
