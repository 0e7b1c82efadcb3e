"""Memory that threads share: each takes what it needs, and gives it back."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Condition, Lock

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's allocator (mallopt(3))."""

LARGEST_KEPT_BLOCK = 2**25
"""Bytes of a block that glibc may keep, at most, when it is freed: its own limit. Pillow asks for 2^24 at a time."""

MANY_BLOCKS = 2**25
"""Bytes from which on glibc returns what a picture has freed before the next one asks for as much."""

KEPT_MEMORY = 2**26
"""Freed bytes at the end of a thread's memory that glibc keeps; it manages a thread's memory in pieces of this size."""


class MemoryBudget:
    """An amount of memory that threads hold shares of; whoever asks for more than is left waits.

    Parameters
    ----------
    total : int
        Bytes. A share larger than that is given when nobody else holds any.

    Attributes
    ----------
    held : int
        Bytes that are taken at the moment.
    waiting : int
        Threads that wait for a share.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0
        self.waiting = 0
        self._changed = Condition()

    @contextmanager
    def hold(self, share: int) -> Iterator[None]:
        """Wait for a share of so many bytes, and give it back on leaving."""
        with self._changed:
            self.waiting += 1
            try:
                self._changed.wait_for(lambda: self._has_room(share))
            finally:
                self.waiting -= 1
            self.held += share
        try:
            yield
        finally:
            with self._changed:
                self.held -= share
                # All of them: the first to wake may ask for more than is left, and the next for less.
                self._changed.notify_all()

    def _has_room(self, share: int) -> bool:
        return self.held == 0 or self.held + share <= self.total


class FreedMemory:
    """What threads have freed and the C library still keeps: up to the largest picture for each of them.

    Attributes
    ----------
    floor : int
        Bytes that this process has beside pictures: as they were when last only one thread had any, since what others
        have at a moment is not known to the byte. Before that, a guess that is rather too low.
    files : list of MemoryBudget
        What holds the files that pictures are decoded from: no part of the floor either. Decoding may copy a file.
    """

    def __init__(self) -> None:
        self.floor = 0
        self.files: list[MemoryBudget] = []
        self._lock = Lock()

    @contextmanager
    def kept_low(self, needed: int, budget: MemoryBudget) -> Iterator[None]:
        """Make room for a picture; what it leaves goes back to the system before somebody else takes its share."""
        self.make_room(needed, budget)
        try:
            yield
        finally:
            if budget.waiting:
                return_freed_memory()

    def make_room(self, needed: int, budget: MemoryBudget) -> None:
        """Return freed memory to the system if this process would exceed the budget by what it is about to take.

        Parameters
        ----------
        needed : int
            Bytes, which the caller holds of the budget.
        budget : MemoryBudget
        """
        with self._lock:
            if self.floor and count_resident_bytes() - self.floor + needed <= budget.total:
                return
            return_freed_memory()
            held_by_others = budget.held - needed
            if not self.floor or not held_by_others:
                held_of_files = sum(2 * each.held for each in self.files)
                self.floor = max(1, count_resident_bytes() - held_by_others - held_of_files)


@cache
def keep_freed_memory() -> None:
    """Have the C library keep what a large picture has freed for the next one, from now on.

    glibc returns it and asks for it again, page by page: a tenth of the time of extracting photos of 24 megapixels.
    """
    set_parameter = find_c_function("mallopt")
    if set_parameter is not None:
        set_parameter(M_MMAP_THRESHOLD, LARGEST_KEPT_BLOCK)
        set_parameter(M_TRIM_THRESHOLD, KEPT_MEMORY)


def return_freed_memory() -> None:
    """Have the C library return freed memory to the system, where it can: glibc does not return all by itself."""
    trim = find_c_function("malloc_trim")
    if trim is not None:
        trim(0)


def find_c_function(name: str) -> Callable[..., int] | None:
    """Find a function of glibc; None on Windows and macOS, and in musl, which lack those that are asked for here."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None


def count_resident_bytes() -> int:
    """Count the bytes of memory that this process has; 0 where the system does not tell."""
    return count_pages(1)


def count_data_bytes() -> int:
    """Count the bytes of memory that this process may write to; 0 where the system does not tell."""
    return count_pages(5)


def count_pages(field: int) -> int:
    """Read a field of /proc/self/statm (proc(5)), in bytes."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[field]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
