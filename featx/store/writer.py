"""Collects features in memory until a part is full, and commits parts while the next one is collected."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.keys import FeatureKey
from featx.store.digest_index import DigestIndex
from featx.store.part import PART_BYTES
from featx.store.store import FeatureStore
from featx.timing import Clock

WRITER_THREADS = 6
"""Parts written at a time: while some wait for the disk, others are checksummed and handed to it."""


@dataclass(frozen=True)
class RowCost:
    """What a row of a key has cost, or several together, in seconds.

    Attributes
    ----------
    share : float
        Its share of a pass that was for several keys: those of all keys add up to the pass.
    alone : float
        What a pass for its layer alone would have cost.
    """

    share: float
    alone: float

    def plus(self, other: RowCost, rows: int) -> RowCost:
        """Add the cost of further rows."""
        return RowCost(self.share + rows * other.share, self.alone + rows * other.alone)


class PartWriter:
    """Collects the features of one key, and commits them in parts of a fixed number of rows, in threads of its own.

    Rows arrive in the order of the data set, so parts have the same rows however often the work is interrupted.

    Parameters
    ----------
    store : FeatureStore
    key : FeatureKey
    part_rows : int
        Rows of a full part; wide rows fill one sooner, with `PART_BYTES`.
    describe_provenance : callable
        Gives the plain values that are stored with a part; called for each.
    clock : Clock
        Gets the seconds of writing as the step "write".

    Attributes
    ----------
    index : DigestIndex
        What the store held when the writer was created.
    """

    def __init__(
        self,
        store: FeatureStore,
        key: FeatureKey,
        part_rows: int,
        describe_provenance: Callable[[], Mapping[str, Any]],
        clock: Clock,
    ) -> None:
        self.store = store
        self.key = key
        self.part_rows = part_rows
        self.clock = clock
        # Asked when a part is written: which engine computes is known by then.
        self.describe_provenance = describe_provenance
        self.index = DigestIndex([header.digests.copy() for header in store.headers(key)])
        self.digests: list[NDArray[np.uint8]] = []
        self.features: list[NDArray[np.float32]] = []
        self.rows = 0
        self.cost = RowCost(0.0, 0.0)
        self.pending: deque[Future[Any]] = deque()
        self.pool = ThreadPoolExecutor(WRITER_THREADS, thread_name_prefix="write")

    def append(self, digests: Sequence[bytes], features: NDArray[np.float32], cost: RowCost) -> None:
        """Take the rows of a batch that the store lacks, and commit each part that they fill.

        Parameters
        ----------
        digests : sequence of n times 32 bytes
        features : (n, ...) float32
        cost : RowCost
            Of each of them.

        Raises
        ------
        NotFinite, StoreError
            If an earlier part could not be committed.
        """
        digest_rows = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        is_missing = self.index.find(digest_rows) < 0
        if not is_missing.all():
            digest_rows = digest_rows[is_missing]
            features = features[is_missing]
        while len(digest_rows):
            full = min(self.part_rows, -(-PART_BYTES // max(1, features[0].nbytes)))
            taken = min(len(digest_rows), full - self.rows)
            self.digests.append(digest_rows[:taken])
            self.features.append(features[:taken])
            self.rows += taken
            self.cost = self.cost.plus(cost, taken)
            digest_rows = digest_rows[taken:]
            features = features[taken:]
            if self.rows == full:
                self.commit()

    def commit(self) -> None:
        """Hand the collected rows to a writing thread.

        It waits while all threads are busy: errors come soon, and memory stays bounded.
        """
        self.wait(WRITER_THREADS - 1)
        if not self.rows:
            return
        self.pending.append(self.pool.submit(self.write, self.digests, self.features, self.cost))
        self.digests = []
        self.features = []
        self.rows = 0
        self.cost = RowCost(0.0, 0.0)

    def write(self, digests: list[NDArray[np.uint8]], features: list[NDArray[np.float32]], cost: RowCost) -> None:
        """Write a part whose rows have cost so much together; runs in the writing thread."""
        joined = np.concatenate(digests)
        figures = {
            "created": time.time(),
            "seconds": round(cost.share, 4),
            "seconds_alone": round(cost.alone, 4),
        }
        provenance = {**self.describe_provenance(), **figures}
        with self.clock.timed("write"):
            self.store.add(self.key, joined, features, provenance)

    def wait(self, most: int = 0) -> None:
        """Wait until at most so many parts are still being written; raise what went wrong with the others."""
        while len(self.pending) > most:
            self.pending.popleft().result()

    def close(self) -> None:
        """Commit what is left, also when the work stopped early.

        Raises
        ------
        NotFinite, StoreError
            If a part could not be committed.
        """
        try:
            self.commit()
            self.wait()
        finally:
            self.pool.shutdown()


def rows_per_part(images: int, least: int = 32, most: int = 1024) -> int:
    """Choose the rows of a part: about a sixteenth of the data set, a power of two from `least` to `most`.

    It depends on the data set alone, not on what an earlier run left.
    """
    exponent = round(np.log2(max(1, images) / 16))
    return int(min(most, max(least, 2**exponent)))
