"""Which rows train and which judge: the held-out part, and the folds of cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold, train_test_split

from featx.errors import DataError
from featx.types import Fold

TEST_SHARE = 0.25
VALIDATION = 0.15
FOLDS = 5

"""Rows to train on (n,), and rows to judge (m,) or (m, v): v views of one image, whose scores are averaged."""


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
    """Hold out a stratified share, a quarter; rows of one group stay together.

    Parameters
    ----------
    y : (n,) int
        Classes.
    groups : (n,) int

    Returns
    -------
    (n,) bool
        True for the held-out rows.
    """
    first, place = first_rows(groups)
    _, held = train_test_split(np.arange(len(first)), test_size=share, stratify=y[first], random_state=seed)
    chosen = np.zeros(len(first), bool)
    chosen[held] = True
    return chosen[place]


def make_folds(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int) -> Sequence[Fold]:
    """Make stratified folds in which rows of one group stay together.

    Five of them, or as many as the smallest class has images.

    Returns
    -------
    sequence of (train rows, validation rows)
    """
    first, place = first_rows(groups)
    count = max(2, min(FOLDS, int(np.bincount(y[first]).min())))
    splitter = StratifiedKFold(count, shuffle=True, random_state=seed)
    folds = []
    for _, judged in splitter.split(first, y[first]):
        in_fold = np.zeros(len(first), bool)
        in_fold[judged] = True
        folds.append((np.flatnonzero(~in_fold[place]), np.flatnonzero(in_fold[place])))
    return folds


def with_views(folds: Sequence[Fold], images: int, views: int, judged_views: int) -> list[Fold]:
    """Turn folds of images into folds of their views, so that no fold splits an image.

    Parameters
    ----------
    folds : sequence of (train rows, validation rows)
        Of the images.
    images : int
        View v of image i is row v * images + i.
    views, judged_views : int
        How many views of each image are trained on, and averaged to judge it.
    """
    return [
        (
            (learned + images * np.arange(views)[:, None]).reshape(-1),
            judged[:, None] + images * np.arange(judged_views) if judged_views > 1 else judged,
        )
        for learned, judged in folds
    ]


@dataclass(frozen=True)
class Parts:
    """Row numbers of the train, validation and test parts of a data set.

    Attributes
    ----------
    train, val, test : (m,) int
        Rows to learn from, rows that choose (both of the training part), and the held-out rows.
    """

    train: NDArray[np.intp]
    val: NDArray[np.intp]
    test: NDArray[np.intp]

    @property
    def train_val(self) -> NDArray[np.intp]:
        """The whole training part."""
        return np.sort(np.concatenate([self.train, self.val]))


def cut_parts(y: NDArray[np.intp], groups: NDArray[np.intp], test: NDArray[np.bool_], seed: int) -> Parts:
    """Cut a stratified seventh of the training rows off to validate on, and one row of each class at least.

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
    share = max(VALIDATION, len(np.unique(y[train])) / len(train))
    try:
        chosen = hold_out(y[train], groups[train], seed, share)
    except ValueError as error:
        raise DataError(f"the training part has too few images to cut a validation part from it ({error})") from error
    return Parts(train[~chosen], train[chosen], np.flatnonzero(test))
