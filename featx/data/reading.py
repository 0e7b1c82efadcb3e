"""Reads images with a bound on what all threads hold of files at one time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import ImageFile, Listing
from featx.images.decode import FREED_MEMORY
from featx.images.memory_budget import MemoryBudget
from featx.storage.client import FETCHING_THREADS, find_stop_event, heed_stop
from featx.storage.threads import requesting_threads

READING_MEMORY = 100_000_000
"""Bytes of files that all threads hold at one time; a larger file is read when nothing else is."""

READING_BUDGET = MemoryBudget(READING_MEMORY)
"""What all threads of this process share while they read images and use what they have read."""

FREED_MEMORY.files.append(READING_BUDGET)

FETCHED_BYTES = 2**24
"""Bytes of files far away that one thread has fetched at a time."""

FETCHING = ThreadPoolExecutor(FETCHING_THREADS, thread_name_prefix="fetch")
"""What makes them for all threads of this process; nothing is started before it is used."""


class HeldFile(NamedTuple):
    """A file that was read beforehand.

    Attributes
    ----------
    data : bytes
    size : int
        Bytes for which memory is still to be found; more than those of `data` where it was too large to be held.
    reason : str
        Why it could not be read; "" where it was.
    """

    data: bytes
    size: int
    reason: str = ""

    def find_size(self) -> int:
        """Say for how many bytes memory is still to be found."""
        return self.size

    def read(self) -> bytes:
        """Give the bytes.

        Raises
        ------
        OSError
            If it could not be read.
        """
        if self.reason:
            raise OSError(self.reason)
        return self.data


class HeldFiles:
    """Files of some rows of a listing that were read beforehand.

    Parameters
    ----------
    files : dict of str to HeldFile
        By path.
    """

    are_stored = True
    are_shareable = False
    are_far = False

    def __init__(self, files: dict[str, HeldFile]) -> None:
        self.files = files

    def find(self, path: str) -> ImageFile:
        """Give what was read."""
        return self.files[path]

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        """Nobody asks what was read for its stamps: (n, 4) int64, all -1."""
        return np.full((len(paths), 4), -1, np.int64)


def fetch_ahead(listing: Listing, rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Listing]]:
    """Read rows that lie far away side by side: some rows, and a listing that has them at hand, one after the other.

    Rows that lie here are given back at once, to be read by whoever uses them.

    Raises
    ------
    FeatxError
        If what they lie in cannot be reached.
    """
    if not listing.files.are_far:
        yield rows, listing
        return
    files = {row: listing.files.find(listing.paths[row]) for row in rows}
    left = list(rows)
    while left:
        some = take_first(left, [files[row].find_size() for row in left])
        left = left[len(some) :]
        with READING_BUDGET.hold(sum(files[row].find_size() for row in some)):
            fetched = FETCHING.map(partial(fetch, stop=find_stop_event()), [files[row] for row in some])
            held = {listing.paths[row]: file for row, file in zip(some, fetched, strict=True)}
            yield some, replace(listing, files=HeldFiles(held))


def take_first(rows: Sequence[int], sizes: Sequence[int]) -> Sequence[int]:
    """Take the first rows that have `FETCHED_BYTES` together, one at least."""
    total = 0
    for place, size in enumerate(sizes):
        total += size
        if place and total > FETCHED_BYTES:
            return rows[:place]
    return rows


def fetch(file: ImageFile, stop: Event | None) -> HeldFile:
    """Read a file, whatever is wrong with it, unless an event is set before the answer comes."""
    heed_stop(stop)
    try:
        return HeldFile(read_whole(file), 0)
    except OSError as error:
        return HeldFile(b"", 0, error.strerror or str(error))


@contextmanager
def reading(listing: Listing, row: int) -> Iterator[bytes]:
    """Read an image of a listing, and keep its share of the memory until its bytes have been used.

    Yields
    ------
    bytes

    Raises
    ------
    OSError
        If it cannot be read.
    """
    file = listing.files.find(listing.paths[row])
    with READING_BUDGET.hold(file.find_size()):
        yield read_whole(file)


def read_whole(file: ImageFile) -> bytes:
    """Read an image; whatever is wrong with it is an error of the system.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    try:
        return file.read()
    # A NUL in the path, or a file that is larger than what memory is left.
    except (ValueError, MemoryError) as error:
        raise OSError(str(error) or "not enough memory to read it") from error


def reading_threads(count: int) -> AbstractContextManager[ThreadPoolExecutor]:
    """Start threads that read; what they have not begun at the end is given up."""
    return requesting_threads(count, "featx")
