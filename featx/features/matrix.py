"""X: the features of a layer set, in memory or read from the store a block at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featx.features.scaling import join
from featx.keys import FeatureKey
from featx.store.store import FeatureStore

BLOCK_BYTES = 64_000_000
"""Memory for features that are read a block at a time: large enough that a block costs more than opening its parts."""


CONSTANT_WITHIN = 1e-6
"""Features that differ by less than this share of the largest differ by rounding only."""


def name_degenerate(low: NDArray[np.float32], high: NDArray[np.float32]) -> str | None:
    """Name features that tell no images apart by the least and largest value of each column; None for others."""
    largest = max(float(np.abs(low).max()), float(np.abs(high).max()))
    if largest == 0:
        return "all zero"
    return "constant" if float((high - low).max()) <= CONSTANT_WITHIN * largest else None


@dataclass(frozen=True)
class Features:
    """The features of a layer set, (v, n, d) float32: v views of n images, on disk or in memory.

    A row number counts them all: view v of image i is row v * n + i.

    Attributes
    ----------
    store : FeatureStore
    keys : tuple of FeatureKey
        One a layer, of the images as they are.
    digests : (n, 32) uint8
    views, dim : int
        v, and d.
    array : (v * n, d) float32 or None
        All of them, once they are loaded.
    block_bytes : int
        Memory for one block, where they are not loaded.
    """

    store: FeatureStore
    keys: tuple[FeatureKey, ...]
    digests: NDArray[np.uint8]
    views: int
    dim: int
    array: NDArray[np.float32] | None = None
    block_bytes: int = BLOCK_BYTES

    def load(self) -> Features:
        """Read all of them into memory.

        Raises
        ------
        MissingFeatures
            If the store lacks any of them.
        BrokenPart
            If the only part that holds a row is damaged.
        """
        every_image = np.arange(len(self.digests))
        return replace(self, array=self.take(self.rows(every_image, self.views)))

    def rows(self, images: NDArray[np.intp], views: int) -> NDArray[np.intp]:
        """List the row numbers of the first views of some images, view by view."""
        return (images + len(self.digests) * np.arange(views)[:, None]).reshape(-1)

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Give rows by number: (m, d) float32."""
        if self.array is not None:
            return self.array[rows]
        view, image = np.divmod(rows, len(self.digests))
        # Rows come view by view, so that each view is one stretch of them.
        starts = (np.flatnonzero(np.diff(view)) + 1).tolist()
        blocks = []
        for start, end in pairwise([0, *starts, len(rows)]):
            digests = self.digests[image[start:end]]
            keys = [replace(key, view=int(view[start])) for key in self.keys]
            blocks.append(join([self.store.get(key, digests) for key in keys]))
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def find_degenerate(self) -> str | None:
        """Say what is wrong with features that tell no images apart; None where nothing is."""
        images = np.arange(len(self.digests))
        low = high = None
        for first in range(0, len(images), self.block):
            X = self.take(self.rows(images[first : first + self.block], 1))
            block_low, block_high = X.min(axis=0), X.max(axis=0)
            low = block_low if low is None else np.minimum(low, block_low)
            high = block_high if high is None else np.maximum(high, block_high)
        return None if low is None or high is None else name_degenerate(low, high)

    @property
    def block(self) -> int:
        """Images to be handled at a time, with all their views."""
        if self.array is not None:
            return len(self.digests)
        bytes_an_image = 4 * self.views * self.dim
        return max(1, self.block_bytes // bytes_an_image)
