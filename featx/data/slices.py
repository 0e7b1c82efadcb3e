"""Divides the rows of a listing into slices, of which a thread takes one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from featx.data.rows import Loaded

SLICE = 8
"""Images that a thread takes at a time, or a multiple of it."""

LARGEST_SLICE = 32
"""The most images that a thread takes, where they are quick: a core that changes less often between decoding and
arithmetic keeps more of either in its cache (measured: a tenth faster than with 8)."""

SLICE_SECONDS = 0.5
"""Seconds that a slice of more than `SLICE` images may take."""


class Slices(Iterator[Sequence[int]]):
    """Divides rows into slices: larger where images are quick, smaller near the end so that workers finish together.

    Parameters
    ----------
    rows : sequence of int
    workers : int
        Threads that take slices.
    """

    def __init__(self, rows: Sequence[int], workers: int) -> None:
        self.rows = rows
        self.workers = workers
        self.begun = 0
        # Slow until the first slice is timed, so that the first slices are small.
        self.seconds_per_image = SLICE_SECONDS

    def record_time(self, images: int, seconds: float) -> None:
        """Take in how long a slice took, to size the next ones by."""
        self.seconds_per_image = seconds / images

    def take_back(self, rows: Sequence[int]) -> None:
        """Take back the slice that was given last, to be divided anew."""
        self.begun -= len(rows)

    def __next__(self) -> Sequence[int]:
        """Give the next slice."""
        rows_left = len(self.rows) - self.begun
        if not rows_left:
            raise StopIteration
        by_time = int(SLICE_SECONDS / max(self.seconds_per_image, 1e-9))
        by_end = rows_left // (2 * self.workers)
        most = min(LARGEST_SLICE, by_end, by_time)
        size = max(1, most // SLICE) * SLICE
        rows = self.rows[self.begun : self.begun + size]
        self.begun += len(rows)
        return rows


class ReadAhead:
    """Slices that are loaded in threads before anything computes on them.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    load : callable
        Loads the images of a slice.
    slices : Slices
    """

    def __init__(self, pool: ThreadPoolExecutor, load: Callable[[Sequence[int]], list[Loaded]], slices: Slices) -> None:
        self.pool = pool
        self.load = load
        self.slices = slices
        self.futures: deque[tuple[Sequence[int], Future[list[Loaded]]]] = deque()

    def __len__(self) -> int:
        return len(self.futures)

    def fill(self, count: int) -> None:
        """Begin slices until so many are on their way, or none is left."""
        while len(self.futures) < count:
            rows = next(self.slices, None)
            if rows is None:
                break
            self.futures.append((rows, self.pool.submit(self.load, rows)))

    def first(self) -> list[Loaded]:
        """Wait for the first slice, and look at it without taking it."""
        return self.futures[0][1].result()

    def take_future(self) -> tuple[Sequence[int], Future[list[Loaded]]]:
        """Take the first slice, whether it is loaded yet or not."""
        return self.futures.popleft()

    def give_back_unstarted(self) -> None:
        """Give slices back that no thread has begun, the last one first, as `Slices` wants them."""
        while self.futures and self.futures[-1][1].cancel():
            rows, _ = self.futures.pop()
            self.slices.take_back(rows)
