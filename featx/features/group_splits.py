"""Splits by whole groups: which of them are held out, and which validate in which fold.

Classes are balanced as far as groups allow, by scikit-learn's `StratifiedGroupKFold`. What it does not promise is seen
to here: whatever is held out or validates, every class keeps a group to train on.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.types import Fold

TRAINS_ALWAYS = -1
"""Fold of a group that validates in none, because a class would have nothing to train on."""


class UndividableGroups(DataError):
    """Groups that cannot be divided: each of them holds a class that no other has."""


@dataclass(frozen=True)
class GroupTable:
    """How many rows of each class the groups hold.

    Attributes
    ----------
    place : (n,) int
        Group of each row, numbered from 0 in the order of their first rows.
    counts : (g, k) int
        Rows of each class; classes without rows are left out.
    y : (n,) int
        Classes, numbered from 0 without gaps.
    """

    place: NDArray[np.intp]
    counts: NDArray[np.intp]
    y: NDArray[np.intp]

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Rows of each group, (g,)."""
        return np.asarray(self.counts.sum(axis=1))

    @property
    def groups_of_class(self) -> NDArray[np.intp]:
        """Groups that hold each class, (k,)."""
        return np.asarray((self.counts > 0).sum(axis=0))

    @property
    def free(self) -> NDArray[np.intp]:
        """Groups that training can do without: each of their classes is in another, too."""
        holds_only = (self.counts > 0) & (self.groups_of_class == 1)
        return np.flatnonzero(~holds_only.any(axis=1))

    def covers(self, is_out: NDArray[np.bool_]) -> bool:
        """Whether every class is in some group that is not out."""
        return bool((self.counts[~is_out].sum(axis=0) > 0).all())

    def order_by_size(self, groups: NDArray[np.intp]) -> NDArray[np.intp]:
        """Sort groups, the smallest first."""
        return groups[np.argsort(self.sizes[groups], kind="stable")]


def first_rows(groups: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the first row of each group, in the order of the rows, and for each row the place of its group's first.

    Parameters
    ----------
    groups : (n,) int
        Equal numbers mark rows of one group.

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


def tabulate_groups(y: NDArray[np.intp], groups: NDArray[np.intp]) -> GroupTable:
    """Count the rows of each class in each group: (n,) int both."""
    first, place = first_rows(groups)
    _, codes = np.unique(y, return_inverse=True)
    counts = np.zeros((len(first), int(codes.max()) + 1), np.intp)
    np.add.at(counts, (place, codes), 1)
    return GroupTable(place, counts, codes)


def require_free(table: GroupTable, purpose: str) -> NDArray[np.intp]:
    """Find the groups that training can do without.

    Raises
    ------
    UndividableGroups
        If there is none.
    """
    free = table.free
    if not len(free):
        count = len(table.counts)
        which = "there is 1 group" if count == 1 else f"each of the {count} groups is the only one of a class"
        raise UndividableGroups(
            f"{which}, so none can be {purpose} while others train: two groups of a class are needed at least"
        )
    return free


def hold_out_groups(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int, share: float) -> NDArray[np.bool_]:
    """Hold out whole groups with about a share of the rows of each class.

    Every class is trained on. Where groups allow, each class with two of them is held out as well.

    Parameters
    ----------
    y, groups : (n,) int
    share : float
        Share of the rows.

    Returns
    -------
    (n,) bool
        True for the held-out rows.

    Raises
    ------
    UndividableGroups
        If no group can be held out.
    """
    table = tabulate_groups(y, groups)
    free = require_free(table, "held out")
    fold_of_group = deal_groups(table, free, min(len(free), max(2, round(1 / share))), seed)
    candidates = [fill_up(table, fold_of_group == fold) for fold in range(fold_of_group.max() + 1)]
    best = min(candidates, key=lambda is_out: rate_share(table, is_out, share))
    return best[table.place]


def deal_groups(table: GroupTable, free: NDArray[np.intp], folds: int, seed: int) -> NDArray[np.intp]:
    """Deal free groups to folds: the fold of each group, (g,), `TRAINS_ALWAYS` for the others."""
    fold_of_group = np.full(len(table.counts), TRAINS_ALWAYS)
    rows = np.flatnonzero(np.isin(table.place, free))
    y = table.y[rows]
    # More folds than rows of every class are refused.
    folds = min(folds, int(np.bincount(y).max()))
    if folds < 2:
        fold_of_group[free] = 0
        return fold_of_group
    used = 0
    for val in deal_rows(y.tobytes(), table.place[rows].tobytes(), folds, seed):
        if len(val):
            fold_of_group[table.place[rows[val]]] = used
            used += 1
    return fold_of_group


@lru_cache(maxsize=8)
def deal_rows(y: bytes, groups: bytes, folds: int, seed: int) -> list[NDArray[np.intp]]:
    """Deal rows to folds by scikit-learn: the rows of each fold.

    Remembered, since ten thousand groups take two seconds, and every layer of a table has the same folds.

    Parameters
    ----------
    y, groups : bytes
        Of (n,) arrays of `intp`.
    """
    codes = np.frombuffer(y, np.intp)
    places = np.frombuffer(groups, np.intp)
    # Takes a second, see `splits`.
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # That a class has fewer rows than there are folds: a fold may do without it.
        warnings.simplefilter("ignore", UserWarning)
        return [val for _, val in splitter.split(codes, codes, places)]


def fill_up(table: GroupTable, is_out: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give groups back until every class is trained on, then take small ones of classes that are not held out."""
    is_out = is_out.copy()
    for code in range(table.counts.shape[1]):
        holders = table.order_by_size(np.flatnonzero(table.counts[:, code]))
        if is_out[holders].all():
            is_out[holders[0]] = False
    for code in np.flatnonzero(table.groups_of_class > 1).tolist():
        holders = table.order_by_size(np.flatnonzero(table.counts[:, code]))
        if is_out[holders].any():
            continue
        for group in holders:
            is_out[group] = True
            if table.covers(is_out):
                break
            is_out[group] = False
    return is_out


def rate_share(table: GroupTable, is_out: NDArray[np.bool_], share: float) -> tuple[int, float]:
    """Say how far what is held out is from a share of each class: classes without any, then the mean distance."""
    held_out = table.counts[is_out].sum(axis=0)
    shares = held_out / table.counts.sum(axis=0)
    absent = int((held_out == 0).sum())
    distance = float(np.abs(shares - share).mean() + abs(table.sizes[is_out].sum() / table.sizes.sum() - share))
    return absent, round(distance, 12)


def make_group_folds(y: NDArray[np.intp], groups: NDArray[np.intp], seed: int, folds: int) -> Sequence[Fold]:
    """Make stratified folds of whole groups: so many, or as many as the class of the fewest groups has.

    A group that is the only one of a class is trained on in every fold. So is one that no fold can validate without
    losing a class.

    Parameters
    ----------
    y, groups : (n,) int
    folds : int

    Returns
    -------
    sequence of (train rows, validation rows)

    Raises
    ------
    UndividableGroups
        If no group can validate.
    """
    table = tabulate_groups(y, groups)
    free = require_free(table, "validated on")
    several = table.groups_of_class[table.groups_of_class > 1]
    count = min(folds, len(free), max(2, int(several.min())))
    fold_of_group = spread_classes(table, deal_groups(table, free, count, seed))
    made = []
    for fold in np.unique(fold_of_group[fold_of_group != TRAINS_ALWAYS]):
        validates = (fold_of_group == fold)[table.place]
        made.append((np.flatnonzero(~validates), np.flatnonzero(validates)))
    return made


def spread_classes(table: GroupTable, fold_of_group: NDArray[np.intp]) -> NDArray[np.intp]:
    """Move groups out of folds that hold all groups of a class, to another fold or out of all."""
    fold_of_group = fold_of_group.copy()
    folds = range(fold_of_group.max() + 1)
    for fold in folds:
        for code in range(table.counts.shape[1]):
            holders = table.order_by_size(np.flatnonzero(table.counts[:, code]))
            if (fold_of_group[holders] == fold).all():
                fold_of_group[holders[0]] = find_fold(table, fold_of_group, holders[0])
    return fold_of_group


def find_fold(table: GroupTable, fold_of_group: NDArray[np.intp], group: np.intp) -> int:
    """Find the smallest other fold that a group can join so that every class is still trained on."""
    here = fold_of_group[group]
    others = [fold for fold in range(fold_of_group.max() + 1) if fold != here]
    others.sort(key=lambda fold: int(table.sizes[fold_of_group == fold].sum()))
    for fold in others:
        is_out = fold_of_group == fold
        is_out[group] = True
        if table.covers(is_out):
            return fold
    return TRAINS_ALWAYS


def describe_few_folds(folds: Sequence[Fold], y: NDArray[np.intp], groups: NDArray[np.intp], wanted: int) -> str | None:
    """Say that there are fewer folds than wanted, and why; None where there are as many.

    Parameters
    ----------
    y, groups : (n,) int
        Of the training part.
    """
    if len(folds) >= wanted:
        return None
    made = "1 fold" if len(folds) == 1 else f"{len(folds)} folds"
    table = tabulate_groups(y, groups)
    several = table.groups_of_class[table.groups_of_class > 1]
    return (
        f"cross-validation has {made} instead of {wanted}: of the {len(table.counts)} groups to train on, "
        f"{len(table.free)} can validate, and a class lies in {several.min()} of them only"
    )
