"""Reads rows of many parts into one array, several parts at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import BrokenPart
from featx.store.part import Part

READERS = 4
"""Threads that read, where there are as many cores: copying and checking take longer than the disk."""

HELD = 64
"""Parts held open until they are read together. Finding rows keeps Python busy, and readers would wait for it."""


@dataclass(frozen=True)
class Piece:
    """Rows of a part, opened once more for it, and the places where they belong."""

    part: Part
    rows: NDArray[np.intp]
    places: NDArray[np.intp]


@dataclass
class Readers:
    """Takes rows part by part, and reads them several parts at a time; used in a `with` block.

    Attributes
    ----------
    n : int
        Rows of the result.
    out : (n, ...) array or None
        None until a part has told shape and dtype; complete behind the `with` block.
    is_sound : bool
        Whether all that was read passed its checks; rows that did not must be read from another part.
    """

    n: int
    out: NDArray[Any] | None = None
    is_sound: bool = True
    _held: list[Piece] = field(default_factory=list)

    def take(self, part: Part, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        """Read rows at once where they are scattered, which keeps Python busy; else later, beside others.

        Raises
        ------
        BrokenPart
            If scattered rows are damaged.
        """
        if self.out is None:
            self.out = np.empty((self.n, *part.header.shape[1:]), part.header.dtype)
        if 2 * len(rows) < part.header.shape[0]:
            part.read_to(rows, places, self.out)
            return
        self._held.append(Piece(replace(part, handle=os.dup(part.handle)), rows, places))
        if len(self._held) == HELD:
            self._read_held()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._read_held()
        for piece in self._held:
            os.close(piece.part.handle)

    def _read_held(self) -> None:
        if self.out is None:
            return
        pieces, self._held = iter(self._held), []
        count = min(READERS, os.cpu_count() or 1)
        with ThreadPoolExecutor(count) as pool:
            others = [pool.submit(read_pieces, pieces, self.out) for _ in range(count - 1)]
            try:
                self.is_sound &= read_pieces(pieces, self.out)
                self.is_sound &= all(other.result() for other in others)
            finally:
                for piece in pieces:  # left over where reading failed
                    os.close(piece.part.handle)


def read_pieces(pieces: Iterator[Piece], out: NDArray[Any]) -> bool:
    """Read pieces that other threads take from, too, and close them; tell whether all of them were sound."""
    is_sound = True
    for piece in pieces:
        try:
            with piece.part as part:
                part.read_to(piece.rows, piece.places, out)
        except BrokenPart:
            is_sound = False
    return is_sound
