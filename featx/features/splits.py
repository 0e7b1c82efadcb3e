"""Which rows train and which evaluate: the held-out part, and the folds of cross-validation.

Rows of one group are never split: see `group_splits`. Everything is stratified by class and drawn from a seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.features.group_splits import first_rows, hold_out_groups, make_group_folds
from featx.types import Fold

TEST_SHARE = 0.25
"""Share of the images that is held out where the data set brings no split of its own."""

ABOUT = 0.06
"""How far from a quarter what whole groups hold out may be, to be called one."""

VALIDATION_SHARE = 0.15
"""Share of the training images on which fine-tuning chooses its epoch."""

FOLDS = 5

ONE_FOLD_FROM = 20_000
"""Training images from which on one fold validates instead of five. A fifth of them is 4,000, on which the standard
error of an accuracy is 0.8 points at most, and much less of the difference between two values of C."""


def hold_out(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int, share: float = TEST_SHARE) -> NDArray[np.bool_]:
    """Hold out a stratified share; rows of one group stay together.

    Every class with two groups or more has one at least on either side; a class with one group is trained on.

    Parameters
    ----------
    y : (n,) int
        Classes.
    groups : (n,) int
    share : float
        A quarter by default.

    Returns
    -------
    (n,) bool
        True for the held-out rows.

    Raises
    ------
    UndividableGroups
        If groups of several rows cannot be divided.
    """
    first, place = first_rows(groups)
    if len(first) < len(groups):
        return hold_out_groups(y, groups, seed, share)
    classes = y[first]
    is_held_out = draw_share(classes, seed, share)
    for code in np.unique(classes):
        of_class = np.flatnonzero(classes == code)
        if len(of_class) > 1 and not is_held_out[of_class].any():
            is_held_out[draw_some(of_class, 1, seed)] = True
    return is_held_out[place]


def draw_share(classes: NDArray[np.intp], seed: int, share: float) -> NDArray[np.bool_]:
    """Draw a stratified share of groups, (g,) bool; classes that are too small for that are drawn from one by one.

    Parameters
    ----------
    classes : (g,) int
        Class of each group.
    """
    # Scikit-learn takes a second to import, which processes that are given their folds do not need.
    from sklearn.model_selection import train_test_split

    is_drawn = np.zeros(len(classes), bool)
    try:
        _, drawn = train_test_split(np.arange(len(classes)), test_size=share, stratify=classes, random_state=seed)
        is_drawn[drawn] = True
        return is_drawn
    # Too few for one of each class on both sides.
    except ValueError:
        for code in np.unique(classes):
            of_class = np.flatnonzero(classes == code)
            if len(of_class) > 1:
                count = min(max(1, round(share * len(of_class))), len(of_class) - 1)
                is_drawn[draw_some(of_class, count, seed)] = True
        return is_drawn


def draw_some(rows: NDArray[np.intp], count: int, seed: int) -> NDArray[np.intp]:
    """Draw some of a few rows: the same ones for the same rows and seed."""
    return np.random.default_rng([seed, int(rows[0])]).permutation(rows)[:count]


SPLIT_NOUNS = {"train": "train", "val": "val", "test": "test", "": "images without a split"}
"""Split of a listing to how it is called in a sentence."""


def describe_split(
    splits: Sequence[str] | None, test: NDArray[np.bool_], seed: int, groups: NDArray[np.intp] | None = None
) -> str:
    """Say what was held out and what is trained on.

    Parameters
    ----------
    splits : sequence of str, or None
        The data set's own split of each row; None if the held-out part was drawn.
    test : (n,) bool
        The held-out rows.
    seed : int
        What it was drawn with.
    groups : (n,) int, optional
        Where there are groups of several rows.
    """
    held_out = int(test.sum())
    images = "1 image" if held_out == 1 else f"{held_out} images"
    trained_on = len(test) - held_out
    if splits is None and groups is not None:
        count = len(np.unique(groups))
        out = len(np.unique(groups[test]))
        is_quarter = abs(held_out / len(test) - TEST_SHARE) < ABOUT
        what = (
            f"a quarter of the {count} groups" if is_quarter else f"what of the {count} groups is nearest to a quarter"
        )
        return (
            f"held out: {what}, drawn with seed {seed} "
            f"({'1 group' if out == 1 else f'{out} groups'}, {images}); "
            f"trained on the rest ({'1 group' if count - out == 1 else f'{count - out} groups'}, {trained_on})"
        )
    if splits is None:
        return f"held out: a quarter, drawn with seed {seed} ({images}); trained on the rest ({trained_on})"
    counts = Counter(split for split, is_test in zip(splits, test.tolist(), strict=True) if not is_test)
    own = next(split for split, is_test in zip(splits, test.tolist(), strict=True) if is_test)
    names = [name for split, name in SPLIT_NOUNS.items() if counts[split]]
    return f"held out: {own} ({images}); trained on {' and '.join(names)} ({trained_on})"


def make_folds(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int) -> Sequence[Fold]:
    """Make stratified folds in which rows of one group stay together.

    Five of them, or as many as the smallest class has images. A class with one image is trained on in every fold. Where
    no class has two, there is nothing to divide: one fold trains and validates on all rows. Groups of several rows are
    divided by `make_group_folds`, which refuses what cannot be divided.

    Parameters
    ----------
    y, groups : (n,) int

    Returns
    -------
    sequence of (train rows, validation rows)
        Each row validates in one fold, except those of classes with one image.

    Raises
    ------
    UndividableGroups
        If groups of several rows cannot be divided.
    """
    first, place = first_rows(groups)
    if len(first) < len(groups):
        return make_group_folds(y, groups, seed, FOLDS)
    counts = np.bincount(y[first])
    may_validate = np.flatnonzero(counts[y[first]] > 1)
    if not len(may_validate):
        every_row = np.arange(len(y))
        return [(every_row, every_row)]
    from sklearn.model_selection import StratifiedKFold

    smallest = int(counts[counts > 1].min())
    splitter = StratifiedKFold(max(2, min(FOLDS, smallest)), shuffle=True, random_state=seed)
    folds = []
    for _, val in splitter.split(may_validate, y[first[may_validate]]):
        validates = np.zeros(len(first), bool)
        validates[may_validate[val]] = True
        of_rows = validates[place]
        folds.append((np.flatnonzero(~of_rows), np.flatnonzero(of_rows)))
    return folds


def make_search_folds(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int) -> Sequence[Fold]:
    """Make the folds by which hyper-parameters are chosen: those of `make_folds`, or of many images the first alone.

    The first is a stratified split of 80/20 in which groups stay together. Parameters, and what is raised, are those of
    `make_folds`.
    """
    folds = make_folds(y, groups, seed)
    return folds[:1] if validates_once(len(y)) else folds


def validates_once(images: int) -> bool:
    """Say whether one fold validates instead of five, by the number of training images."""
    return images >= ONE_FOLD_FROM


@dataclass(frozen=True)
class LabelledRows:
    """Rows to judge features on, such as those of the training part.

    Attributes
    ----------
    y : (n,) int
        Classes, numbered from 0.
    groups : (n,) int
        Equal for rows that stay together, such as copies of one image.
    """

    y: NDArray[np.intp]
    groups: NDArray[np.intp]

    def folds(self, seed: int) -> Sequence[Fold]:
        """Make the folds of the evaluation protocol, raising as `make_folds` does."""
        return make_folds(self.y, self.groups, seed)

    def take(self, rows: NDArray[np.intp]) -> LabelledRows:
        """Give some of the rows; classes are numbered anew, since some may be missing there."""
        _, y = np.unique(self.y[rows], return_inverse=True)
        return LabelledRows(y, self.groups[rows])


@dataclass(frozen=True)
class DividedRows(LabelledRows):
    """Rows whose folds were made beforehand, for processes that need not import what makes them.

    Attributes
    ----------
    made : mapping of int to sequence of (train rows, validation rows)
        Folds by seed.
    """

    made: Mapping[int, Sequence[Fold]]

    def folds(self, seed: int) -> Sequence[Fold]:
        """Give the folds of a seed that they were made for."""
        return self.made[seed]


def divide_rows(rows: LabelledRows, seeds: Sequence[int]) -> DividedRows:
    """Make the folds of some seeds, raising as `make_folds` does."""
    return DividedRows(rows.y, rows.groups, {seed: rows.folds(seed) for seed in seeds})


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
        If there are too few images or groups for that.
    """
    train = np.flatnonzero(~test)
    first, place = first_rows(groups[train])
    if len(first) < len(train):
        of_train = hold_out_groups(y[train], groups[train], seed, VALIDATION_SHARE)
        return Parts(train[~of_train], train[of_train], np.flatnonzero(test))
    classes = y[train][first]
    # Of many small classes a seventh may be less than one row each, which cannot be stratified.
    one_a_class = len(np.unique(classes)) / len(train)
    validates = draw_share(classes, seed, max(VALIDATION_SHARE, one_a_class))[place]
    if not validates.any():
        raise DataError(
            f"the training part has {len(train)} images of {len(np.unique(classes))} classes, and two of none: "
            "too few to split a validation part off"
        )
    return Parts(train[~validates], train[validates], np.flatnonzero(test))
