"""The files of a listing, and which of them are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from featx.data.listing import ImageFile, ImageFiles, Listing
from featx.data.sources.image_files import ON_DISK, MemoryFile


@dataclass
class CountedFiles:
    """Files as others have them; `paths` are those that were read."""

    files: ImageFiles = ON_DISK
    paths: list[str] = field(default_factory=list)
    are_stored = True
    are_shareable = False
    are_far = False

    def find(self, path: str) -> ImageFile:
        return MemoryFile(path, self.read)

    def read(self, path: str) -> bytes:
        self.paths.append(path)
        return self.files.find(path).read()

    def read_stamps(self, paths: Sequence[str]) -> NDArray[np.int64]:
        return self.files.read_stamps(paths)


def count_reads(listing: Listing) -> tuple[Listing, list[str]]:
    """The same listing, and a list of every path that is read."""
    counted = CountedFiles(listing.files)
    return replace(listing, files=counted), counted.paths
