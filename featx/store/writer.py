"""Collects features in memory until a part is full, and commits parts while the next one is collected."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.keys import FeatureKey
from featx.store.index import DigestIndex
from featx.store.part import PART_BYTES
from featx.store.store import FeatureStore


class PartWriter:
    """Collects the features of one key, and commits them in parts of a fixed number of rows, in a thread of its own.

    Rows arrive in the order of the data set, so parts have the same rows however often the work is interrupted.
    """

    def __init__(self, store: FeatureStore, key: FeatureKey, part_rows: int, provenance: dict[str, Any]) -> None:
        self.store, self.key, self.part_rows, self.provenance = store, key, part_rows, provenance
        self.index = DigestIndex([header.digests.copy() for header in store.headers(key)])
        self.digests: list[bytes] = []
        self.features: list[NDArray[np.float32]] = []
        self.pending: Future[Any] | None = None
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="write")

    def append(self, digests: Sequence[bytes], features: NDArray[np.float32], seconds: float) -> None:
        """Take what the store lacks of a batch."""
        for name, row in zip(digests, features, strict=True):
            if name not in self.index:
                self.digests.append(name)
                self.features.append(row)
                if len(self.features) * row.nbytes >= PART_BYTES or len(self.features) >= self.part_rows:
                    self.commit(seconds)

    def commit(self, seconds: float) -> None:
        """Hand the collected rows to the writing thread; waits for the part before, so errors are not lost."""
        self.wait()
        if self.digests:
            digests = np.frombuffer(b"".join(self.digests), np.uint8).reshape(-1, 32)
            provenance = {**self.provenance, "created": time.time(), "seconds": round(seconds * len(digests), 4)}
            features = np.stack(self.features)
            self.digests, self.features = [], []
            self.pending = self.pool.submit(self.store.add, self.key, digests, features, provenance)

    def wait(self) -> None:
        """Wait until the last part is committed; raises what went wrong there."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            pending.result()

    def close(self, seconds: float) -> None:
        """Commit what is left, also when the work stopped early."""
        try:
            self.commit(seconds)
            self.wait()
        finally:
            self.pool.shutdown()


def rows_a_part(images: int) -> int:
    """Rows of a part: about a sixteenth of the data set, a power of two from 32 to 1024.

    It depends on the data set alone, so an interrupted run goes on with the same parts.
    """
    return int(min(1024, max(32, 2 ** round(np.log2(max(1, images) / 16)))))
