"""Which training images a held-out one is like, by the features that its classifier saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.features.matrix import Features
from featx.reports.html.material import Neighbour


def find_neighbours(
    features: Features, images: Sequence[int], among: NDArray[np.intp], count: int
) -> dict[int, list[Neighbour]]:
    """Find the most similar images of some others, by the cosine of their features.

    Parameters
    ----------
    features : Features
        Loaded or not: they are read a block at a time.
    images : sequence of int
        Rows of q images, few.
    among : (n,) int
        Rows of the others.
    count : int
        How many of each.

    Returns
    -------
    dict of int to list of Neighbour
        By row, the most similar one first.
    """
    if not len(images) or not len(among):
        return {}
    wanted = unit_rows(features.take(np.asarray(images, np.intp)))
    similarity = np.empty((len(images), len(among)), np.float32)
    for first in range(0, len(among), features.block):
        block = among[first : first + features.block]
        similarity[:, first : first + len(block)] = wanted @ unit_rows(features.take(block)).T
    found = {}
    for row, of_image in zip(images, similarity, strict=True):
        nearest = np.argsort(-of_image, kind="stable")[:count].tolist()
        found[int(row)] = [Neighbour(int(among[place]), round(float(of_image[place]), 6)) for place in nearest]
    return found


def unit_rows(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows to length one: (n, d) float32; of several layers, each is of length one already."""
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return (X / np.where(lengths > 0, lengths, np.float32(1))).astype(np.float32)
