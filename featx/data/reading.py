"""Reads images with a bound on what all threads hold of files at one time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from featx.data.listing import ImageFile, Listing
from featx.images.decode import FREED_MEMORY
from featx.images.memory_budget import MemoryBudget

READING_MEMORY = 100_000_000
"""Bytes of files that all threads hold at one time; a larger file is read when nothing else is."""

READING_BUDGET = MemoryBudget(READING_MEMORY)
"""What all threads of this process share while they read images and use what they have read."""

FREED_MEMORY.files.append(READING_BUDGET)


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
