"""Reads rows of many parts into one array, several parts at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart, StoreError
from featx.files import show_size
from featx.store.part import Part

READER_THREADS = 4
"""Threads that read, where there are as many cores: copying and checking take longer than the disk."""

FETCHING_THREADS = 8
"""Threads that read where parts have to be fetched: each has one connection, which is slower than the network."""

MAX_OPEN_PARTS = 64
"""Parts kept open until they are read together. Finding rows keeps Python busy, and readers would wait for it."""


@dataclass(frozen=True)
class PostponedRead:
    """Rows to read from a part, and the places where they belong.

    Of a file of this machine the part was opened once more for it; an object is opened by who reads it.
    """

    part: Part
    rows: NDArray[np.intp]
    places: NDArray[np.intp]

    def opened(self) -> Part:
        """Give the open part."""
        return self.part if self.part.file.is_whole else self.part.reopen()

    def close(self) -> None:
        """Close what was opened for it and never read."""
        if self.part.file.is_whole:
            self.part.file.close()


@dataclass
class ParallelReader:
    """Takes rows part by part, and reads them several parts at a time; used in a `with` block.

    Attributes
    ----------
    n : int
        Rows of the result.
    max_open_parts : int
        Parts kept open until they are read together; each takes a file handle.
    out : (n, ...) array or None
        None until a first part has given shape and dtype; complete after the `with` block.
    is_sound : bool
        Whether all rows that were read passed their checks; those that did not must be read from another part.
    """

    n: int
    max_open_parts: int = MAX_OPEN_PARTS
    out: NDArray[Any] | None = None
    is_sound: bool = True
    _postponed: list[PostponedRead] = field(default_factory=list)

    def take(self, part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        """Read rows of a part: later, beside those of others, or now if they are few.

        Parameters
        ----------
        part : Part
            May be closed afterwards.
        rows : (k,) int
            Ascending row numbers in the part.
        places : (k,) int
            Where they belong in the result.

        Raises
        ------
        BrokenPart
            If rows that are read now are damaged.
        StoreError
            If the disk fails.
        """
        if self.out is None:
            self.out = self._make_array(part)
        # Picking scattered rows keeps Python busy, so that threads would only wait for one another; not for a network.
        if 2 * len(rows) < part.header.shape[0] and part.file.is_whole:
            part.read_into(rows, places, self.out)
            return
        # Objects are fetched by the threads that read them.
        kept = part.reopen() if part.file.is_whole else part
        self._postponed.append(PostponedRead(kept, rows, places))
        if len(self._postponed) == self.max_open_parts:
            self._read_postponed()

    def _make_array(self, part: Part) -> NDArray[Any]:
        """Take the memory for all rows.

        Raises
        ------
        StoreError
            If there is not as much.
        """
        try:
            return np.empty((self.n, *part.header.shape[1:]), part.header.dtype)
        except MemoryError as error:
            size = show_size(self.n * part.header.row_bytes)
            raise StoreError(
                f"{self.n} rows as '{part.path}' holds them take {size} of memory, more than there is"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._read_postponed()
        for postponed in self._postponed:
            postponed.close()

    def _read_postponed(self) -> None:
        if self.out is None:
            return
        # One iterator that all threads take from: no thread is done before the others.
        reads = iter(self._postponed)
        are_here = all(postponed.part.file.is_whole for postponed in self._postponed)
        threads = min(READER_THREADS, os.cpu_count() or 1) if are_here else FETCHING_THREADS
        self._postponed = []
        with ThreadPoolExecutor(threads) as pool:
            others = [pool.submit(read_parts, reads, self.out) for _ in range(threads - 1)]
            try:
                self.is_sound &= read_parts(reads, self.out)
                self.is_sound &= all(other.result() for other in others)
            finally:
                # Left over where a disk failed.
                for postponed in reads:
                    postponed.close()


def read_parts(reads: Iterator[PostponedRead], out: NDArray[Any]) -> bool:
    """Do reads that other threads take from, too, and close their parts; tell whether all rows were sound."""
    is_sound = True
    for postponed in reads:
        try:
            with postponed.opened() as part:
                part.read_into(postponed.rows, postponed.places, out)
        # Gone since its header was read: whoever asked looks again.
        except (BrokenPart, FileNotFoundError):
            is_sound = False
    return is_sound
