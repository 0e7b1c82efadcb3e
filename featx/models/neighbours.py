"""Nearest neighbours: how training pictures vote, by the angle between features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.features.scaling import unit_length
from featx.types import Matrix

ADDED_VOTES = 0.05
"""Votes that are added for each class, so that no probability is zero: of 0.05 to 1, by log-loss the best on most of
four data sets (digits, ants and bees, steel, flowers; five folds, two layers)."""

LOST_BY_A_PLACE = 1e-6
"""Each neighbour's vote counts less than that of the nearer one by so much: of equally many votes the nearer win."""

BLOCK_SIMILARITIES = 4_000_000
"""Similarities at a time: with their order they take 64 MB."""

NOT_A_NEIGHBOUR = -2.0
"""Below every cosine."""

FEW = 16
"""Neighbours up to which looking for the largest one again and again is quicker than putting all in order: a look takes
a fortieth of the time."""


def find_nearest(
    queries: NDArray[np.float32], neighbours: NDArray[np.float32], pictures: int, most: int
) -> NDArray[np.intp]:
    """Find the most similar pictures of each row by cosine, the nearest first.

    Parameters
    ----------
    queries : (m, d) float32
        Rows of unit length.
    neighbours : (v * n, d) float32
        Rows of unit length; view v of picture i is row v * n + i. Its most similar view stands for a picture.
    pictures : int
        n.
    most : int
        At most n.

    Returns
    -------
    (m, most) int
        Of equally similar pictures the first comes first.
    """
    block = max(1, BLOCK_SIMILARITIES // len(neighbours))
    nearest = np.empty((len(queries), most), np.intp)
    for first in range(0, len(queries), block):
        similarities = queries[first : first + block] @ neighbours.T
        of_pictures = similarities.reshape(len(similarities), -1, pictures).max(axis=1)
        # The order of all is not needed, and takes ten times as long.
        places = np.sort(np.argpartition(-of_pictures, most - 1, axis=1)[:, :most], axis=1)
        order = np.argsort(-np.take_along_axis(of_pictures, places, axis=1), axis=1, kind="stable")
        nearest[first : first + block] = np.take_along_axis(places, order, axis=1)
    return nearest


def count_votes(
    nearest: NDArray[np.intp], labels: NDArray[np.integer[Any]], classes: int, counts: Sequence[int]
) -> Iterator[NDArray[np.float64]]:
    """Turn the votes of the nearest pictures into probabilities, for several numbers of neighbours.

    Parameters
    ----------
    nearest : (m, most) int
        As `find_nearest` gives it.
    labels : (n,) int
        Class of each picture.
    classes : int
    counts : sequence of int
        Numbers of neighbours, rising.

    Yields
    ------
    (m, classes) float64
        Shares of the votes, of which each class has `ADDED_VOTES` more.
    """
    rows = np.arange(len(nearest))
    votes = np.full((len(nearest), classes), ADDED_VOTES)
    counted = 0
    for count in counts:
        for place in range(counted, count):
            votes[rows, labels[nearest[:, place]]] += 1 - LOST_BY_A_PLACE * place
        counted = count
        yield votes / votes.sum(axis=1, keepdims=True)


def scale_rows(X: Matrix, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Standardise rows (n, d) and give them unit length, so that products are cosines."""
    return unit_length((X.astype(np.float64) - mean) / scale)


def take_largest(values: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Give the places and values of the largest of each row, the largest first: (n, m) to (n, count) each.

    Parameters
    ----------
    values : (n, m) float32
        Overwritten.
    count : int
    """
    if count > FEW or count >= values.shape[1]:
        nearest = keep_largest(values, count)
        return nearest, np.take_along_axis(values, nearest, axis=1)
    rows = np.arange(len(values))
    nearest = np.empty((len(values), count), np.intp)
    largest = np.empty((len(values), count), np.float32)
    for place in range(count):
        nearest[:, place] = values.argmax(axis=1)
        largest[:, place] = values[rows, nearest[:, place]]
        values[rows, nearest[:, place]] = NOT_A_NEIGHBOUR
    return nearest, largest


def keep_largest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Give the places of the largest values of each row, the largest first: (n, m) to (n, count)."""
    if count >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")[:, :count]
    if count == 0:
        return np.zeros((len(values), 0), np.intp)
    largest = np.argpartition(-values, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(values, largest, axis=1), axis=1, kind="stable")
    return np.take_along_axis(largest, order, axis=1)
