"""A shard: one of n disjoint shares of all images, told by their digests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import RequestError

PREFIX_BYTES = 8
"""Bytes of a digest that decide on its shard: a sha256 is random enough in any of its bytes."""


@dataclass(frozen=True)
class Shard:
    """The i-th of n disjoint shares of the images; equal images lie in one shard, whatever the data set.

    Attributes
    ----------
    index : int
        Counted from 1.
    count : int

    Raises
    ------
    RequestError
        Unless 1 <= index <= count.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise RequestError(f"invalid shard '{self.index}/{self.count}': I of I/N counts from 1 to N, such as 2/8")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "I/N".

        Raises
        ------
        RequestError
            If it is not of this form, or I is not between 1 and N.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal()):
            raise RequestError(f"invalid shard '{text}': expected I/N, such as 2/8")
        return cls(int(index), int(count))

    def holds(self, digest: bytes) -> bool:
        """Whether an image belongs to this shard."""
        if self.count == 1:
            return True
        return int.from_bytes(digest[:PREFIX_BYTES], "big") % self.count == self.index - 1

    def select(self, digests: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which images belong to this shard: (n, 32) uint8 digests to (n,) bool."""
        if self.count == 1:
            return np.ones(len(digests), bool)
        prefixes = np.ascontiguousarray(digests[:, :PREFIX_BYTES]).view(">u8")[:, 0]
        return prefixes % np.uint64(self.count) == self.index - 1

    def divide(self, parts: int) -> list[Shard]:
        """Divide this shard into disjoint ones."""
        return [Shard(self.index + self.count * part, self.count * parts) for part in range(parts)]
