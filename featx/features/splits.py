"""Which rows train and which evaluate: the held-out part, and the folds of cross-validation.

Rows of one group (copies of one image) are never split. Everything is stratified by class and drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from featx.errors import DataError
from featx.types import Fold

TEST_SHARE = 0.25
"""Share of the images that is held out where the data set brings no split of its own."""

VALIDATION_SHARE = 0.15
"""Share of the training images on which fine-tuning chooses its epoch."""

FOLDS = 5


def first_rows(groups: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the first row of each group, in the order of the rows, and for each row the place of its group's first.

    Parameters
    ----------
    groups : (n,) int
        Equal numbers mark rows that show the same image.

    Returns
    -------
    first : (g,) int
    place : (n,) int
        `first[place[i]]` is the first row of row i's group.
    """
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse]


def hold_out(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int, share: float = TEST_SHARE) -> NDArray[np.bool_]:
    """Hold out a stratified share; rows of one group stay together.

    Parameters
    ----------
    y : (n,) int
        Classes.
    groups : (n,) int
    share : float
        Share of the groups; a quarter by default.

    Returns
    -------
    (n,) bool
        True for the held-out rows.

    Raises
    ------
    ValueError
        If there are too few groups for one of each class on both sides.
    """
    first, place = first_rows(groups)
    _, held_out = train_test_split(np.arange(len(first)), test_size=share, stratify=y[first], random_state=seed)
    is_held_out = np.zeros(len(first), bool)
    is_held_out[held_out] = True
    return is_held_out[place]


def make_folds(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int) -> Sequence[Fold]:
    """Make stratified folds in which rows of one group stay together.

    Five of them, or as many as the smallest class has images.

    Parameters
    ----------
    y, groups : (n,) int

    Returns
    -------
    sequence of (train rows, validation rows)
        Each row validates in one fold.
    """
    first, place = first_rows(groups)
    smallest = int(np.bincount(y[first]).min())
    splitter = StratifiedKFold(max(2, min(FOLDS, smallest)), shuffle=True, random_state=seed)
    folds = []
    for _, val in splitter.split(first, y[first]):
        validates = np.zeros(len(first), bool)
        validates[val] = True
        of_rows = validates[place]
        folds.append((np.flatnonzero(~of_rows), np.flatnonzero(of_rows)))
    return folds


def with_views(folds: Sequence[Fold], images: int, views: int, test_views: int) -> list[Fold]:
    """Turn folds of images into folds of their views, so that no fold splits an image.

    Parameters
    ----------
    folds : sequence of (train rows, validation rows)
        Row numbers of images.
    images : int
        View v of image i is row v * images + i.
    views, test_views : int
        Views of each image that are trained on, and views whose scores are averaged to evaluate it.

    Returns
    -------
    list of (train rows, validation rows)
        Validation rows are (m,), or (m, test_views) where several are averaged.
    """
    folds_of_views: list[Fold] = []
    for train, val in folds:
        train_rows = (train + images * np.arange(views)[:, None]).reshape(-1)
        val_rows = val
        if test_views > 1:
            val_rows = val[:, None] + images * np.arange(test_views)
        folds_of_views.append((train_rows, val_rows))
    return folds_of_views


@dataclass(frozen=True)
class Parts:
    """Row numbers of the train, validation and test parts of a data set.

    Attributes
    ----------
    train, val, test : (m,) int
        Rows to train on, rows that choose among what was trained (both of the training part), and held-out rows.
    """

    train: NDArray[np.intp]
    val: NDArray[np.intp]
    test: NDArray[np.intp]

    @property
    def train_val(self) -> NDArray[np.intp]:
        """The whole training part."""
        return np.sort(np.concatenate([self.train, self.val]))


def split_parts(y: NDArray[np.intp], groups: NDArray[np.intp], test: NDArray[np.bool_], seed: int) -> Parts:
    """Split a stratified validation part, about a seventh, off the training part.

    Parameters
    ----------
    y, groups : (n,) int
    test : (n,) bool
        The held-out rows.

    Raises
    ------
    DataError
        If there are too few images for that.
    """
    train = np.flatnonzero(~test)
    # Of many small classes a seventh may be less than one row each, which cannot be stratified.
    one_a_class = len(np.unique(y[train])) / len(train)
    try:
        validates = hold_out(y[train], groups[train], seed, max(VALIDATION_SHARE, one_a_class))
    except ValueError as error:
        raise DataError(f"the training part has too few images to split a validation part off ({error})") from error
    return Parts(train[~validates], train[validates], np.flatnonzero(test))
