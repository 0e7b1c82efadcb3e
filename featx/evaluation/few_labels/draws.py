"""Which training images are labelled: drawn anew for each seed, the same ones for every layer and classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.features.dataset import Dataset


@dataclass(frozen=True)
class Draw:
    """The order in which the training images of each class are labelled.

    Attributes
    ----------
    seed : int
        What it was drawn with.
    by_class : sequence of (m,) int
        Row numbers of the training images of each class, those first that are labelled first.
    """

    seed: int
    by_class: Sequence[NDArray[np.intp]]

    def take(self, shots: int) -> NDArray[np.intp]:
        """Take the rows that are labelled with so many of each class: (m,) int, rising.

        A class that has fewer is labelled wholly. Fewer shots are a part of more.
        """
        return np.sort(np.concatenate([rows[:shots] for rows in self.by_class]))


def draw_labels(dataset: Dataset, seed: int) -> Draw:
    """Draw the order in which the training images of each class are labelled.

    Images of different groups come first, since a second image of a group says less than one of another.
    """
    train = np.flatnonzero(dataset.train)
    by_class = []
    for code in range(len(dataset.classes)):
        rows = train[dataset.y[train] == code]
        drawn = np.random.default_rng([seed, code]).permutation(rows)
        earlier = count_earlier(dataset.groups[drawn])
        by_class.append(drawn[np.argsort(earlier, kind="stable")])
    return Draw(seed, by_class)


def count_earlier(groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count for each row how many rows before it are of its group: (n,) int to (n,) int."""
    by_group = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[by_group], return_index=True, return_counts=True)
    earlier = np.empty(len(groups), np.intp)
    earlier[by_group] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return earlier


def count_training_images(dataset: Dataset) -> NDArray[np.intp]:
    """Count the training images of each class: (k,) int."""
    return np.bincount(dataset.y[dataset.train], minlength=len(dataset.classes))
