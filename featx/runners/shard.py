"""A shard: one of n disjoint shares of the rows of a data set, told by their paths."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from featx.data.listing import Listing
from featx.errors import RequestError
from featx.paths import URL
from featx.storage.addresses import take_out_query


@dataclass(frozen=True)
class Shard:
    """The i-th of n disjoint shares of the rows of a data set.

    The path decides, so that nobody reads a file to learn that it is another's to read; and it counts from DATA, so
    that machines that have it in different places divide it alike. What comes or goes moves no other row. A picture
    that lies in two shares under two names is computed twice, and stored as one.

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

    def select(self, listing: Listing) -> NDArray[np.bool_]:
        """Tell which rows of a listing belong to this shard: (n,) bool."""
        if self.count == 1:
            return np.ones(len(listing), bool)
        hashes = [xxhash.xxh64_intdigest(os.fsencode(path)) for path in relative_paths(listing)]
        return np.array(hashes, np.uint64) % np.uint64(self.count) == self.index - 1

    def divide(self, parts: int) -> list[Shard]:
        """Divide this shard into disjoint ones."""
        return [Shard(self.index + self.count * part, self.count * parts) for part in range(parts)]


def relative_paths(listing: Listing) -> list[str]:
    """Give the path of each row as it counts from DATA, or from the folder of a table; others as they are."""
    if URL.match(listing.name):
        data = take_out_query(listing.name).rstrip("/")
        prefixes = [f"{data}/", f"{data.rpartition('/')[0]}/"]
    else:
        folder = Path(listing.name)
        prefixes = [f"{above}{os.sep}" for above in (folder, folder.parent)]
    return [cut_prefix(path, prefixes) for path in listing.paths]


def cut_prefix(path: str, prefixes: list[str]) -> str:
    """Cut the first prefix that a text begins with."""
    for prefix in prefixes:
        if path.startswith(prefix):
            return path[len(prefix) :]
    return path
