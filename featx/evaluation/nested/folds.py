"""Outer folds: which images are judged together, while all others train."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from featx.data.listing import DigestedListing, find_held_out
from featx.errors import DataError, shorten
from featx.features.dataset import Dataset
from featx.features.group_splits import (
    TRAINS_ALWAYS,
    UndividableGroups,
    deal_groups,
    require_free,
    spread_classes,
    tabulate_groups,
)
from featx.features.groups import has_company
from featx.features.splits import make_folds


@dataclass(frozen=True)
class OuterFolds:
    """The outer folds of all repeats.

    Attributes
    ----------
    dataset : Dataset
        The n images that are divided; of a data set with a split of its own, those of its training part.
    fold_of_row : sequence of (n,) int, one a repeat
        The fold that judges each image; `TRAINS_ALWAYS` where none does.
    seed : int
        Repeat r is drawn with this seed plus r, and so are the folds inside.
    asked : int
        Folds that were asked for.
    untouched : int
        Images of the data set's own held-out part, which are no part of this.
    """

    dataset: Dataset
    fold_of_row: Sequence[NDArray[np.intp]]
    seed: int
    asked: int
    untouched: int = 0

    @property
    def repeats(self) -> int:
        """How often all images are judged."""
        return len(self.fold_of_row)

    @property
    def folds(self) -> int:
        """Folds of a repeat: the most of all repeats, since groups may make fewer of them."""
        return max(len(self.list_masks(repeat)) for repeat in range(self.repeats))

    def list_masks(self, repeat: int) -> list[NDArray[np.bool_]]:
        """List the images that each fold of a repeat judges, (n,) bool each."""
        of_row = self.fold_of_row[repeat]
        return [of_row == fold for fold in range(int(of_row.max()) + 1)]

    def judged(self, repeat: int = 0) -> NDArray[np.bool_]:
        """Say which images are judged in a repeat: (n,) bool."""
        return self.fold_of_row[repeat] != TRAINS_ALWAYS

    @property
    def pooled_dataset(self) -> Dataset:
        """The data set with all images held out that the first repeat judges."""
        return replace(self.dataset, test=self.judged())


def make_outer_folds(dataset: Dataset, folds: int, repeats: int, seed: int) -> OuterFolds:
    """Divide all images of a data set into outer folds; of one with a split of its own, its training part alone.

    Parameters
    ----------
    dataset : Dataset
    folds, repeats : int
        Folds of each repeat, and how many repeats.
    seed : int
        Of the first repeat.

    Raises
    ------
    DataError
        If no two images are of one class, or groups cannot be divided twice: into outer and inner folds.
    """
    untouched = 0
    if has_own_split(dataset):
        untouched = int(dataset.test.sum())
        dataset = keep_rows(dataset, np.flatnonzero(dataset.train))
    try:
        of_rows = [deal_to_folds(dataset.y, dataset.groups, folds, seed + repeat) for repeat in range(repeats)]
        outer = OuterFolds(dataset, of_rows, seed, folds, untouched)
        check_inner_folds(outer)
    except UndividableGroups as error:
        name = dataset.listing.name
        raise DataError(f"'{name}' has too few groups for nested cross-validation: {error}") from error
    except DataError as error:
        raise DataError(f"'{dataset.listing.name}' cannot be judged by nested cross-validation: {error}") from error
    return outer


def has_own_split(dataset: Dataset) -> bool:
    """Whether the held-out part is the data set's own, not drawn by featx."""
    return find_held_out(dataset.listing.splits) is not None


def rate_majority(dataset: Dataset) -> float:
    """Give the share of the most frequent class: accuracy at chance."""
    return float(np.bincount(dataset.y).max() / len(dataset.y))


def keep_rows(dataset: Dataset, rows: NDArray[np.intp]) -> Dataset:
    """Keep some images of a data set, (m,) int, with nothing held out yet."""
    manifest = dataset.manifest
    kept = DigestedListing(manifest.listing.subset(rows.tolist()), manifest.digests[rows], manifest.unreadable)
    return replace(
        dataset,
        manifest=kept,
        y=dataset.y[rows],
        groups=dataset.groups[rows],
        test=np.zeros(len(rows), bool),
        on_both_sides=None,
        torn_groups=None,
    )


def deal_to_folds(y: NDArray[np.intp], groups: NDArray[np.intp], folds: int, seed: int) -> NDArray[np.intp]:
    """Deal images to folds, stratified by class: the fold of each, (n,) int, `TRAINS_ALWAYS` where there is none.

    Unlike the folds that choose hyper-parameters, these are not fewer where a class is small: its images are spread
    over as many folds as it has, since halving the training part for the sake of a class of two would judge other
    models than those that are shipped. Every class is trained on in every fold.

    Parameters
    ----------
    y, groups : (n,) int
        Rows of one group stay together.
    folds, seed : int

    Raises
    ------
    DataError
        If no two images are of one class.
    UndividableGroups
        If no group can be judged.
    """
    if has_company(groups):
        return deal_whole_groups(y, groups, folds, seed)
    counts = np.bincount(y)
    rows = np.flatnonzero(counts[y] > 1)
    if not len(rows):
        raise DataError("no class has two images, one to judge and one to train on")
    fold_of_row = np.full(len(y), TRAINS_ALWAYS)
    splitter = StratifiedKFold(min(folds, int(counts.max())), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # That a class has fewer images than there are folds.
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, judged) in enumerate(splitter.split(rows, y[rows])):
            fold_of_row[rows[judged]] = fold
    return fold_of_row


def deal_whole_groups(y: NDArray[np.intp], groups: NDArray[np.intp], folds: int, seed: int) -> NDArray[np.intp]:
    """Deal rows to folds by whole groups; (n,) int each.

    Raises
    ------
    UndividableGroups
        If no group can be judged.
    """
    table = tabulate_groups(y, groups)
    free = require_free(table, "judged")
    fold_of_group = spread_classes(table, deal_groups(table, free, min(folds, len(free)), seed))
    used = np.unique(fold_of_group[fold_of_group != TRAINS_ALWAYS])
    renumbered = np.full(len(fold_of_group), TRAINS_ALWAYS)
    for number, fold in enumerate(used):
        renumbered[fold_of_group == fold] = number
    return renumbered[table.place]


def check_inner_folds(outer: OuterFolds) -> None:
    """Raise UndividableGroups unless the groups that train in each outer fold can be divided once more."""
    dataset = outer.dataset
    if not dataset.has_groups:
        return
    for repeat in range(outer.repeats):
        for judged in outer.list_masks(repeat):
            make_folds(dataset.y[~judged], dataset.groups[~judged], outer.seed + repeat)


def describe_outer_folds(outer: OuterFolds) -> str:
    """Say which images are judged, how, and what is left alone."""
    images = len(outer.dataset.y)
    seeds = f"seed {outer.seed}"
    if outer.repeats > 1:
        seeds = f"seeds {outer.seed} to {outer.seed + outer.repeats - 1}"
    often = "once" if outer.repeats == 1 else f"{outer.repeats} times"
    which = f"all {images} images"
    untouched = ""
    if outer.untouched:
        which = f"the {images} images of the training part"
        untouched = f"; the held-out part ({outer.untouched}) is not touched"
    whole = " of whole groups" if outer.dataset.has_groups else ""
    return (
        f"nested cross-validation: {outer.folds} folds{whole} over {which}, drawn with {seeds}; "
        f"each image is judged {often}, by a model that never saw its fold{untouched}"
    )


def describe_shortage(outer: OuterFolds) -> list[str]:
    """Say that there are fewer folds than asked for, and which images are judged in none: a phrase each."""
    dataset = outer.dataset
    phrases = []
    if outer.folds < outer.asked:
        made = "1 fold" if outer.folds == 1 else f"{outer.folds} folds"
        reason = f"no class has more than {int(np.bincount(dataset.y).max())} images"
        if dataset.has_groups:
            free = len(tabulate_groups(dataset.y, dataset.groups).free)
            reason = f"of {len(np.unique(dataset.groups))} groups, {free} can be judged while others train"
        phrases.append(f"nested with {made} instead of {outer.asked}, since {reason}")
    alone = np.flatnonzero(~outer.judged())
    if len(alone):
        names = shorten([f"'{dataset.classes[code]}'" for code in np.unique(dataset.y[alone])], 4)
        what = "no other group" if dataset.has_groups else "no other image"
        are = "1 image is" if len(alone) == 1 else f"{len(alone)} images are"
        phrases.append(f"{are} judged in no fold, since {what} could be trained on in their place ({names})")
    return phrases
