"""Finds digests among stored ones, and rows of parts among the rows that a reader asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEARCHED_ROWS = 2**20
"""Digests that are searched at a time: comparing them takes several times their memory."""


class DigestIndex:
    """Finds digests among stored ones.

    Parameters
    ----------
    stored : sequence of (m, 32) uint8
        Joined in this order; may hold repetitions.

    Attributes
    ----------
    digests : (n, 32) uint8
        All of them.
    """

    def __init__(self, stored: Sequence[NDArray[np.uint8]]) -> None:
        # One array is taken as it is: there may be millions of rows.
        self.digests = stored[0] if len(stored) == 1 else np.concatenate([*stored, np.empty((0, 32), np.uint8)])
        # Only the first 8 bytes, the head, are sorted: ten times faster than all 32, and collisions are checked for.
        heads = self._heads(self.digests)
        # Several times faster than a stable sort, which only equal heads need.
        self._order = np.argsort(heads)
        self._sorted_heads = heads[self._order]
        if self.may_repeat():
            self._order = np.argsort(heads, kind="stable")

    @staticmethod
    def _heads(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
        return np.ascontiguousarray(digests).view(np.uint64)[:, 0]

    def __len__(self) -> int:
        return len(self.digests)

    def may_repeat(self) -> bool:
        """Whether any two digests have the same head, as equal ones do."""
        return bool((self._sorted_heads[1:] == self._sorted_heads[:-1]).any())

    def are_first(self) -> NDArray[np.bool_]:
        """Tell which digests, (n,) bool, are not repetitions of earlier ones."""
        return self.find(self.digests) == np.arange(len(self.digests))

    def __contains__(self, digest: bytes) -> bool:
        row = np.frombuffer(digest, np.uint8)
        return bool(self.find(row[None])[0] >= 0)

    def find_by_head(self, digest: NDArray[np.uint8]) -> int:
        """Find a place whose digest has the same head as this one, (32,) uint8; -1 if there is none."""
        if not len(self.digests):
            return -1
        head = self._heads(digest[None])[0]
        at = int(self._sorted_heads.searchsorted(head))
        if at == len(self._sorted_heads) or self._sorted_heads[at] != head:
            return -1
        return int(self._order[at])

    def find(self, digests: NDArray[np.uint8]) -> NDArray[np.intp]:
        """Find the first place of each digest: (n, 32) uint8 to (n,) int, -1 where it is missing."""
        if not len(self.digests):
            return np.full(len(digests), -1)
        if len(digests) > SEARCHED_ROWS:
            pieces = [digests[low : low + SEARCHED_ROWS] for low in range(0, len(digests), SEARCHED_ROWS)]
            return np.concatenate([self.find(piece) for piece in pieces])
        heads = self._heads(digests)
        at = np.minimum(np.searchsorted(self._sorted_heads, heads), len(self._sorted_heads) - 1)
        places = self._order[at]
        is_other = (self.digests[places] != digests).any(axis=1)
        places[is_other] = -1
        # Where the head is right and the digest is not, another digest shares these 8 bytes: compare in full.
        is_collision = is_other & (self._sorted_heads[at] == heads)
        if is_collision.any():
            places[is_collision] = self._find_in_full(digests[is_collision])
        return places

    def _find_in_full(self, digests: NDArray[np.uint8]) -> list[int]:
        first_places: dict[bytes, int] = {}
        for place, row in enumerate(self.digests):
            first_places.setdefault(row.tobytes(), place)
        return [first_places.get(row.tobytes(), -1) for row in digests]


class RequestedRows:
    """The rows of a request, found in one part after another.

    Parameters
    ----------
    digests : (n, 32) uint8
        In any order, with repetitions.

    Attributes
    ----------
    is_missing : (n,) bool
        Rows not found yet; whoever reads the rows that `match` gives sets them to False.
    """

    def __init__(self, digests: NDArray[np.uint8]) -> None:
        self.is_missing = np.ones(len(digests), bool)
        self._index = DigestIndex([digests])
        self._has_repetitions = self._index.may_repeat()
        if self._has_repetitions:
            # All places grouped by the first place of their digest, and where each of these groups starts.
            first_places = self._index.find(digests)
            self._grouped_places = np.argsort(first_places, kind="stable")
            self._group_starts = np.searchsorted(first_places[self._grouped_places], np.arange(len(digests) + 1))

    def match(self, digests: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Find the rows of a part that are requested and still missing, and where they belong.

        Parameters
        ----------
        digests : (m, 32) uint8
            Digests of the part's rows.

        Returns
        -------
        rows : (k,) int
            Ascending row numbers in the part; repeated where one image is requested several times.
        places : (k,) int
            Where each belongs in the request.
        """
        start = self._find_run(digests)
        if start is not None:
            return np.arange(len(digests)), np.arange(start, start + len(digests))
        places = self._index.find(digests)
        rows = np.flatnonzero(places >= 0)
        rows = rows[self.is_missing[places[rows]]]
        # A part may hold a digest twice: its first row counts.
        places, first_rows = np.unique(places[rows], return_index=True)
        rows = rows[first_rows]
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        places = places[order]
        if self._has_repetitions and len(rows):
            return self._repeat(rows, places)
        return rows, places

    def _repeat(
        self, rows: NDArray[np.intp], first_places: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Repeat each row for every place at which its digest is requested."""
        starts = self._group_starts[first_places]
        counts = self._group_starts[first_places + 1] - starts
        # Counts up from 0 within each group.
        number_in_group = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = self._grouped_places[np.repeat(starts, counts) + number_in_group]
        return np.repeat(rows, counts), places

    def _find_run(self, digests: NDArray[np.uint8]) -> int | None:
        """Find where all of a part's rows are requested one after another, as they were when it was written."""
        if self._has_repetitions:
            return None
        start = self._index.find_by_head(digests[0])
        stop = start + len(digests)
        if start < 0 or not self.is_missing[start:stop].all():
            return None
        if not np.array_equal(self._index.digests[start:stop], digests):
            return None
        return start
