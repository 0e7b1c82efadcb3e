"""Collects features in memory until a part is full, and commits parts while the next one is collected."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.keys import FeatureKey
from featx.store.digest_index import DigestIndex
from featx.store.part import PART_BYTES
from featx.store.store import FeatureStore
from featx.timing import Clock

WRITERS = 6
"""Parts written at a time: while some wait for the disk, others are checksummed and handed to it."""


class PartWriter:
    """Collects the features of one key, and commits them in parts of a fixed number of rows, in threads of its own.

    Rows arrive in the order of the data set, so parts have the same rows however often the work is interrupted.
    """

    def __init__(
        self,
        store: FeatureStore,
        key: FeatureKey,
        part_rows: int,
        describe_provenance: Callable[[], Mapping[str, Any]],
        clock: Clock,
    ) -> None:
        self.store, self.key, self.part_rows, self.clock = store, key, part_rows, clock
        # Asked when a part is written: which engine computes is known by then.
        self.describe_provenance = describe_provenance
        self.index = DigestIndex([header.digests.copy() for header in store.headers(key)])
        self.digests: list[NDArray[np.uint8]] = []
        self.features: list[NDArray[np.float32]] = []
        self.rows = 0
        self.pending: deque[Future[Any]] = deque()
        self.pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="write")

    def append(self, digests: Sequence[bytes], features: NDArray[np.float32], seconds: float) -> None:
        """Take what the store lacks of a batch; `seconds` is what one row has cost."""
        names = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        lacking = self.index.find(names) < 0
        if not lacking.all():
            names, features = names[lacking], features[lacking]
        while len(names):
            full = min(self.part_rows, -(-PART_BYTES // max(1, features[0].nbytes)))
            taken = min(len(names), full - self.rows)
            self.digests.append(names[:taken])
            self.features.append(features[:taken])
            self.rows += taken
            names, features = names[taken:], features[taken:]
            if self.rows == full:
                self.commit(seconds)

    def commit(self, seconds: float) -> None:
        """Hand the collected rows to a writing thread; waits while all are busy, so errors and memory stay at hand."""
        self.wait(WRITERS - 1)
        if self.rows:
            digests, features = self.digests, self.features
            self.digests, self.features, self.rows = [], [], 0
            self.pending.append(self.pool.submit(self.write, digests, features, seconds))

    def write(self, digests: list[NDArray[np.uint8]], features: list[NDArray[np.float32]], seconds: float) -> None:
        """Write a part; runs in the writing thread."""
        joined = np.concatenate(digests)
        provenance = {**self.describe_provenance(), "created": time.time(), "seconds": round(seconds * len(joined), 4)}
        with self.clock.timed("write"):
            self.store.add(self.key, joined, features, provenance)

    def wait(self, most: int = 0) -> None:
        """Wait until at most so many parts are not committed yet; raises what went wrong with the others."""
        while len(self.pending) > most:
            self.pending.popleft().result()

    def close(self, seconds: float) -> None:
        """Commit what is left, also when the work stopped early."""
        try:
            self.commit(seconds)
            self.wait()
        finally:
            self.pool.shutdown()


def rows_a_part(images: int) -> int:
    """Rows of a part: about a sixteenth of the data set, a power of two from 32 to 1024.

    It depends on the data set alone, not on what an earlier run left.
    """
    return int(min(1024, max(32, 2 ** round(np.log2(max(1, images) / 16)))))
