"""Groups of pictures, as one listing and its copies of pictures make them: whose rows may never be split."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import DigestedListing, RowGroups, describe_pair, group_copies
from featx.errors import DataError
from featx.features.group_splits import (
    UndividableGroups,
    describe_few_folds,
    first_rows,
    require_free,
    tabulate_groups,
)
from featx.features.splits import FOLDS, hold_out, make_folds
from featx.log import note

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Grouping:
    """The groups of pictures that count.

    Attributes
    ----------
    codes : (n,) int
        Equal for pictures of one group.
    remarks : list of str
        What was joined, in one line.
    """

    codes: NDArray[np.intp]
    remarks: list[str] = field(default_factory=list)


def group_alone(digests: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Give copies of one picture one number, and others different ones: digests (n, 32) to (n,)."""
    _, codes = np.unique(digests.view("V32").reshape(-1), return_inverse=True)
    return codes


def has_company(groups: NDArray[np.intp]) -> bool:
    """Whether any group has more than one row."""
    return len(np.unique(groups)) < len(groups)


def group_pictures(digested: DigestedListing, groups: RowGroups, counted: Sequence[int]) -> Grouping:
    """Group the pictures that count; two groups that share one of them are one group.

    Parameters
    ----------
    digested : DigestedListing
        All rows.
    groups : RowGroups
        Of all rows.
    counted : sequence of int
        The rows that count.
    """
    parents: dict[str, str] = {}

    def find(name: str) -> str:
        while name in parents:
            name = parents[name]
        return name

    names = list(groups.names)
    counts = set(counted)
    joined = []
    for rows in group_copies(digested.digests):
        # A picture with two labels counts nowhere, and joins nothing.
        kept = [row for row in rows if row in counts]
        named = list(dict.fromkeys(names[row] for row in rows if names[row]))
        if not kept or not named:
            continue
        if len(named) > 1:
            joined.append([row for row in rows if names[row]])
        for row in kept:
            names[row] = named[0]
        for other in named[1:]:
            first, second = find(named[0]), find(other)
            if first != second:
                parents[second] = first
    alone = group_alone(digested.digests)
    # A picture without a group is its own; texts and numbers never meet.
    keys = [find(names[row]) if names[row] else int(alone[row]) for row in counted]
    places: dict[str | int, int] = {}
    codes = np.array([places.setdefault(key, len(places)) for key in keys], np.intp)
    return Grouping(codes, word_joined(digested, groups.names, joined))


def split_rows(
    listed: DigestedListing,
    rows: Sequence[int],
    y: NDArray[np.intp],
    own: NDArray[np.bool_] | None,
    seed: int,
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Group the rows that count, and hold some out: (n,) int and (n,) bool. What is taken is said.

    Parameters
    ----------
    listed : DigestedListing
        All rows.
    rows : sequence of int
        Those that count.
    y : (n,) int
        Their classes.
    own : (n,) bool or None
        What the data set's own split holds out.
    seed : int

    Raises
    ------
    DataError
        If groups that were asked for cannot be divided; those of a column that only has such a name are then not
        taken, which is said.
    """
    alone = group_alone(listed.digests[list(rows)])
    given = listed.listing.groups
    if given is not None:
        grouping = group_pictures(listed, given, rows)
        if has_company(grouping.codes):
            try:
                test = divide(grouping, y, own, seed)
            except UndividableGroups as error:
                if not given.is_guess:
                    name = listed.listing.name
                    raise DataError(f"'{name}' cannot be divided by {given.origin}: {error}") from error
                log.warning("%s is not taken for groups, since they cannot be divided: %s", given.origin, error)
            else:
                return grouping.codes, test
        else:
            note(log, f"no two pictures are of one group by {given.origin}: nothing is to be kept together")
    return alone, hold_out(y, alone, seed) if own is None else own


def divide(grouping: Grouping, y: NDArray[np.intp], own: NDArray[np.bool_] | None, seed: int) -> NDArray[np.bool_]:
    """Hold whole groups out, (n,) bool, and see whether the others can be divided into folds.

    Raises
    ------
    UndividableGroups
        If they cannot, or none can be held out.
    """
    groups = grouping.codes
    test = hold_out(y, groups, seed) if own is None else own
    require_free(tabulate_groups(y[~test], groups[~test]), "validated on")
    folds = make_folds(y[~test], groups[~test], seed)
    for remark in grouping.remarks:
        log.warning("%s", remark)
    few = describe_few_folds(folds, y[~test], groups[~test], FOLDS)
    if few:
        note(log, few)
    return test


def word_joined(digested: DigestedListing, names: Sequence[str], joined: Sequence[Sequence[int]]) -> list[str]:
    """Say which groups count as one because they share a picture."""
    if not joined:
        return []
    pair = describe_pair(joined[0], list(names), digested.listing.paths)
    lies = "1 picture lies" if len(joined) == 1 else f"{len(joined)} pictures lie"
    return [f"{lies} in two groups: {pair} are the same picture; such groups count as one"]


def word_torn(groups: NDArray[np.intp], test: NDArray[np.bool_], paths: Sequence[str]) -> str | None:
    """Say which groups the data set's own split has on both sides; None where it has none.

    Parameters
    ----------
    groups : (n,) int
    test : (n,) bool
    paths : sequence of n str
    """
    _, place = first_rows(groups)
    held_out = np.bincount(place[test], minlength=place.max() + 1)
    trained_on = np.bincount(place[~test], minlength=place.max() + 1)
    torn = np.flatnonzero((held_out > 0) & (trained_on > 0))
    if not len(torn):
        return None
    in_first = place == torn[0]
    pair = [paths[np.flatnonzero(in_first & side)[0]] for side in (test, ~test)]
    lies = "1 group lies" if len(torn) == 1 else f"{len(torn)} groups lie"
    return (
        f"{lies} on both sides of the data set's own split, of {place.max() + 1}: '{pair[0]}' and '{pair[1]}' are of "
        "one group; the split is obeyed, so accuracies may be too high: without it, whole groups are held out"
    )
