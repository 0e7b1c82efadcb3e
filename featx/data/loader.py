"""Reads, digests and decodes images in threads, ahead of whoever consumes them, in the order of the rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.data.images import BrokenImage, decoding
from featx.data.manifest import Listing
from featx.files import digest


@dataclass(frozen=True)
class Loaded:
    """One row after reading.

    Attributes
    ----------
    row : int
        Place in the listing.
    digest : bytes or None
        sha256 of the file's bytes; None if it could not be read.
    pixels : dict of int to array, or None
        What `prepare` made of the picture, by view; None if it was not wanted or is broken.
    reason : str or None
        Why there are no pixels, if the file is unreadable or broken.
    """

    row: int
    digest: bytes | None
    pixels: dict[int, NDArray[np.uint8]] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Loader:
    """How rows are loaded.

    Attributes
    ----------
    listing : Listing
    wanted : callable
        Digest to whether this image's features are to be computed.
    prepare : callable
        Decoded picture and digest to pixels by view.
    workers : int
        Threads; Pillow and the hash let go of Python's lock while they work.
    ahead : int
        Rows that may be loaded before they are consumed: bounds the memory.
    """

    listing: Listing
    wanted: Callable[[bytes], bool]
    prepare: Callable[[Image.Image, bytes], dict[int, NDArray[np.uint8]]]
    workers: int
    ahead: int

    def load(self, row: int) -> Loaded:
        """Read, digest and, if it is wanted, decode one row; never raises for a bad image."""
        try:
            data = self.listing.read(self.listing.paths[row])
        except OSError as error:
            return Loaded(row, None, reason=error.strerror or str(error))
        name = digest(data)
        if not self.wanted(name):
            return Loaded(row, name)
        try:
            with decoding(data) as picture:
                return Loaded(row, name, self.prepare(picture, name))
        except BrokenImage as error:
            return Loaded(row, name, reason=str(error))

    def __call__(self, rows: Sequence[int] | NDArray[np.intp]) -> Iterator[Loaded]:
        """Load rows in order, at most `ahead` of them at a time."""
        waiting: deque[Future[Any]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        try:
            for row in rows:
                waiting.append(pool.submit(self.load, int(row)))
                if len(waiting) >= self.ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
