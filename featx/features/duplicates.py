"""Rows that show the same picture: it counts once, and never on both sides of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featx.data.listing import DigestedListing, Listing, describe_pair, find_held_out, group_copies
from featx.errors import DataError


@dataclass(frozen=True)
class CountedOnce:
    """The rows of a listing that count.

    Attributes
    ----------
    rows : list of int
        In the order of the listing, each with a picture of its own.
    remarks : list of str
        One line for each kind of row that was left out.
    on_both_sides : str or None
        That one of them which names pictures in two splits.
    """

    rows: list[int]
    remarks: list[str]
    on_both_sides: str | None = None


def count_once(digested: DigestedListing) -> CountedOnce:
    """Choose one row of each picture.

    Of equal rows the first counts. Where copies lie on both sides of the data set's own split, the first one of the
    training part does. A picture with two labels counts nowhere, since which of them is right cannot be known.

    Raises
    ------
    DataError
        If there is a held-out part but nothing to train on, or nothing is left of it or of a class.
    """
    listing = digested.listing
    held_out = find_held_out(listing.splits)
    # Without a split of its own the data set has one side only.
    is_held_out = [False] * len(listing) if held_out is None else held_out.tolist()
    left_out: set[int] = set()
    repeated = 0
    two_labels = []
    two_sides = []
    two_weights = []
    for rows in group_copies(digested.digests):
        if differ(rows, listing.labels):
            two_labels.append(rows)
            left_out.update(rows)
            continue
        kept = rows[0]
        if differ(rows, is_held_out):
            two_sides.append(rows)
            kept = next(row for row in rows if not is_held_out[row])
        else:
            repeated += len(rows) - 1
        if listing.weights is not None and differ(rows, listing.weights.tolist()):
            two_weights.append(rows)
        left_out.update(row for row in rows if row != kept)
    kept_rows = [row for row in range(len(listing)) if row not in left_out]
    if any(is_held_out) and not any(is_held_out[row] for row in kept_rows):
        raise DataError(
            f"'{listing.name}': every held-out image is in the training part as well or bears two labels, "
            "so none is left to evaluate on: hold out other images"
        )
    vanished = set(listing.labels) - {listing.labels[row] for row in kept_rows}
    if vanished:
        raise DataError(
            f"'{listing.name}': every image of '{min(vanished)}' bears another label as well, so which is right "
            "cannot be known: correct the labels"
        )
    on_both_sides = word_two_sides(listing, two_sides)
    remarks = word_remarks(listing, repeated, two_labels, on_both_sides)
    return CountedOnce(kept_rows, [*remarks, *word_two_weights(listing, two_weights)], on_both_sides)


def differ(rows: Sequence[int], column: Sequence[object]) -> bool:
    """Whether some rows differ in a column."""
    return len({column[row] for row in rows}) > 1


def word_two_sides(listing: Listing, two_sides: Sequence[Sequence[int]]) -> str | None:
    """Say which pictures lie on both sides of the data set's own split; None where none does."""
    if not two_sides:
        return None
    pair = describe_pair(two_sides[0], listing.splits, listing.paths)
    lies = "1 image lies" if len(two_sides) == 1 else f"{len(two_sides)} images lie"
    fate = "it is" if len(two_sides) == 1 else "they are"
    return f"{lies} in two splits: {pair} are the same picture; {fate} trained on and not held out"


def word_two_weights(listing: Listing, two_weights: Sequence[Sequence[int]]) -> list[str]:
    """Say which weight counts where copies of an image have several."""
    if not two_weights or listing.weights is None:
        return []
    pair = describe_pair(two_weights[0], [str(weight) for weight in listing.weights], listing.paths)
    have = "1 image has" if len(two_weights) == 1 else f"{len(two_weights)} images have"
    return [f"{have} two weights: {pair} are the same picture; the weight of the row that counts is taken"]


def word_remarks(
    listing: Listing, repeated: int, two_labels: Sequence[Sequence[int]], on_both_sides: str | None
) -> list[str]:
    """Say what was left out, in one line for each reason."""
    remarks = []
    if repeated == 1:
        remarks.append("1 row is a repetition of another and counts once")
    elif repeated:
        remarks.append(f"{repeated} rows are repetitions of others and count once")
    if on_both_sides:
        remarks.append(on_both_sides)
    if two_labels:
        pair = describe_pair(two_labels[0], listing.labels, listing.paths)
        bears = "1 image bears" if len(two_labels) == 1 else f"{len(two_labels)} images bear"
        fate = "it is" if len(two_labels) == 1 else "they are"
        remarks.append(f"{bears} two labels: {pair} are the same picture; {fate} left out of both parts")
    return remarks
