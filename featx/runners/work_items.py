"""Work items: some thousand rows of a data set, which one worker of a cluster computes and commits at a time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import FailedImage, ImageFile, Listing
from featx.errors import FeatxError
from featx.images.range_report import RangeReport
from featx.runners.tally import RowOutcome

ITEM_ROWS = 2048
"""Rows of an item at most: two full parts, which one core computes in some seconds and a lost worker loses."""

ITEMS_PER_WORKER = 8
"""Items of a small data set for each worker, so that all of them end at about the same time."""

MOST_ATTEMPTS = 3
"""Workers that may end while they compute an item: then something in it ends them."""


@dataclass(frozen=True)
class WorkItem:
    """Rows that one worker computes and commits; it says where the images lie, and holds no pixels.

    Attributes
    ----------
    number : int
        Its place among all items.
    rows : (n,) int
        Rows of the listing.
    paths : sequence of n str
    files : sequence of n ImageFile, or None
        How each image is read; None where each worker has to list the data set to know.
    are_far : bool
        Whether some lie where a read is a request.
    """

    number: int
    rows: NDArray[np.intp]
    paths: Sequence[str]
    files: Sequence[ImageFile] | None
    are_far: bool

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class ItemReport:
    """What became of the rows of an item; all that was computed is committed.

    Attributes
    ----------
    digests : (n, 32) uint8
    known : (n,) bool
        Rows that could be read.
    extracted : (n,) bool
        Rows whose features were computed.
    counts : dict of RowOutcome to int
    failed : list of FailedImage
    pictures : RangeReport
    large_jpegs : int
    seconds : dict of step to float
        Added up over all threads.
    engine : str
    messages : list of (logger, level, text)
        What was logged meanwhile.
    """

    digests: NDArray[np.uint8]
    known: NDArray[np.bool_]
    extracted: NDArray[np.bool_]
    counts: dict[RowOutcome, int]
    failed: list[FailedImage]
    pictures: RangeReport
    large_jpegs: int
    seconds: dict[str, float]
    engine: str
    messages: list[tuple[str, int, str]] = field(default_factory=list)


class Stopped(Exception):
    """Nobody wants more of an item."""


class ItemEndsWorkers(FeatxError, ChildProcessError):
    """An item whose workers end one after the other."""


class WorkQueue:
    """Items that wait, and how often each was handed out.

    Parameters
    ----------
    listing : Listing
    rows : (n,) int
        Rows to be computed.
    item_rows : int

    Attributes
    ----------
    repeated : int
        Rows that were handed out again, since their worker ended.
    """

    def __init__(self, listing: Listing, rows: NDArray[np.intp], item_rows: int) -> None:
        self.listing = listing
        self.rows = rows
        self.item_rows = item_rows
        self.waiting = deque(range(-(-len(rows) // item_rows)))
        self.unfinished = len(self.waiting)
        self.attempts: Counter[int] = Counter()
        self.repeated = 0

    def take(self) -> WorkItem:
        """Take the next item; made when it is taken, since all of them would take as much memory as the listing."""
        number = self.waiting.popleft()
        self.attempts[number] += 1
        first = number * self.item_rows
        rows = self.rows[first : first + self.item_rows]
        paths = [self.listing.paths[row] for row in rows]
        files = self.listing.files
        found = [files.find(path) for path in paths] if files.are_shareable else None
        return WorkItem(number, rows, paths, found, files.are_far)

    def finish(self) -> None:
        """Count an item as done."""
        self.unfinished -= 1

    def put_back(self, item: WorkItem, reason: str) -> None:
        """Hand an item out again, first of all, since its worker ended.

        Raises
        ------
        ItemEndsWorkers
            If it did so too often.
        """
        if self.attempts[item.number] >= MOST_ATTEMPTS:
            raise ItemEndsWorkers(
                f"{MOST_ATTEMPTS} workers ended in turn on the same {len(item)} images, '{item.paths[0]}' "
                f"and those after it (the last one: {reason}). What was committed is kept: run the same command with a "
                "smaller --batch-size, or with --runner local"
            )
        self.repeated += len(item)
        self.waiting.appendleft(item.number)


def choose_item_rows(rows: int, workers: int, part_rows: int) -> int:
    """Choose the rows of an item: full parts of a data set, and several items for each worker of a small one.

    Parameters
    ----------
    rows : int
        Rows to be computed.
    workers : int
    part_rows : int
        Rows of a part.
    """
    even = -(-rows // (ITEMS_PER_WORKER * workers))
    parts = max(1, min(even, ITEM_ROWS) // part_rows)
    return parts * part_rows
