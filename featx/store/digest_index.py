"""Finds digests among others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class DigestIndex:
    """Finds digests among stored ones.

    Parameters
    ----------
    stored : sequence of (m, 32) uint8
        Joined in this order; may hold repetitions.
    """

    def __init__(self, stored: Sequence[NDArray[np.uint8]]) -> None:
        self.digests = np.concatenate([*stored, np.empty((0, 32), np.uint8)])
        heads = self._heads(self.digests)  # sorting 8 bytes is ten times faster than 32
        self._order = np.argsort(heads)  # several times faster than a stable sort, which equal heads alone need
        self._sorted = heads[self._order]
        if self.may_repeat():
            self._order = np.argsort(heads, kind="stable")

    @staticmethod
    def _heads(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
        return np.ascontiguousarray(digests).view(np.uint64)[:, 0]

    def __len__(self) -> int:
        return len(self.digests)

    def may_repeat(self) -> bool:
        """Whether any two digests begin alike, as equal ones do."""
        return bool((self._sorted[1:] == self._sorted[:-1]).any())

    def __contains__(self, digest: bytes) -> bool:
        return bool(self.find(np.frombuffer(digest, np.uint8)[None])[0] >= 0)

    def find_one(self, digest: NDArray[np.uint8]) -> int:
        """Find a place of one digest, (32,) uint8, by its first bytes alone; -1 where none begins like it."""
        if not len(self.digests):
            return -1
        head = self._heads(digest[None])[0]
        at = int(self._sorted.searchsorted(head))
        return int(self._order[at]) if at < len(self._sorted) and self._sorted[at] == head else -1

    def find(self, wanted: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Find the first place of each digest: (n, 32) uint8 to (n,) int, -1 where it is not there."""
        if not len(self.digests):
            return np.full(len(wanted), -1)
        heads = self._heads(wanted)
        at = np.minimum(np.searchsorted(self._sorted, heads), len(self._sorted) - 1)
        places = self._order[at]
        places[(self.digests[places] != wanted).any(axis=1)] = -1
        doubtful = (places < 0) & (self._sorted[at] == heads)
        if doubtful.any():  # other digests share these 8 bytes: compare in full
            exact: dict[bytes, int] = {}
            for place, row in enumerate(self.digests):
                exact.setdefault(row.tobytes(), place)
            places[doubtful] = [exact.get(row.tobytes(), -1) for row in wanted[doubtful]]
        return places


class Wanted:
    """Rows that are looked for in one part after another.

    Parameters
    ----------
    digests : (n, 32) uint8
        In any order, with repetitions.

    Attributes
    ----------
    lacking : (n,) bool
        Rows not yet found; whoever reads what `match` gives sets them to False.
    """

    def __init__(self, digests: NDArray[np.uint8]) -> None:
        self.lacking = np.ones(len(digests), bool)
        self._index = DigestIndex([digests])
        self._has_repetitions = self._index.may_repeat()
        if self._has_repetitions:
            first = self._index.find(digests)
            self._by_first = np.argsort(first, kind="stable")
            self._starts = np.searchsorted(first[self._by_first], np.arange(len(first) + 1))

    def match(self, digests: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Tell which rows of a part are looked for and still lacking, and where they belong.

        Parameters
        ----------
        digests : (m, 32) uint8
            Of the part.

        Returns
        -------
        rows : (k,) int
            Ascending rows of the part; repeated where one image is wanted several times.
        places : (k,) int
            Where each belongs among the wanted.
        """
        if (start := self._in_order(digests)) is not None:
            return np.arange(len(digests)), np.arange(start, start + len(digests))
        places = self._index.find(digests)
        rows = np.flatnonzero(places >= 0)
        rows = rows[self.lacking[places[rows]]]
        places, firsts = np.unique(places[rows], return_index=True)
        rows = rows[firsts]
        order = np.argsort(rows, kind="stable")
        rows, places = rows[order], places[order]
        if self._has_repetitions and len(rows):
            counts = self._starts[places + 1] - self._starts[places]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            rows, places = np.repeat(rows, counts), self._by_first[np.repeat(self._starts[places], counts) + within]
        return rows, places

    def _in_order(self, digests: NDArray[np.uint8]) -> int | None:
        """Find where all of a part's rows are wanted one after the other, as they were when it was written."""
        if self._has_repetitions:
            return None
        start = self._index.find_one(digests[0])
        stop = start + len(digests)
        if start < 0 or not self.lacking[start:stop].all():
            return None
        return start if np.array_equal(self._index.digests[start:stop], digests) else None
