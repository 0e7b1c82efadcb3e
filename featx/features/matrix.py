"""The features of a layer set, on disk or in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featx.features.scaling import join
from featx.keys import FeatureKey
from featx.store.store import FeatureStore

BLOCK_BYTES = 64_000_000
"""Memory for features that are read a block at a time."""


@dataclass(frozen=True)
class Features:
    """The features of a cut, (v, n, d) float32: v views of n images, on disk or loaded.

    A row number counts them all: view v of image i is row v * n + i.

    Attributes
    ----------
    store : FeatureStore
    keys : tuple of FeatureKey
        Of the cut's layers.
    digests : (n, 32) uint8
    views, dim : int
        v, and d.
    array : (v * n, d) float32 or None
        All of them, once they are loaded.
    """

    store: FeatureStore
    keys: tuple[FeatureKey, ...]
    digests: NDArray[np.uint8]
    views: int
    dim: int
    array: NDArray[np.float32] | None = None

    def loaded(self) -> Features:
        """Read all of them into memory."""
        return replace(self, array=self.take(self.rows(np.arange(len(self.digests)), self.views)))

    def rows(self, images: NDArray[np.intp], views: int) -> NDArray[np.intp]:
        """List the numbers of the first views of some images, view by view."""
        return (images + len(self.digests) * np.arange(views)[:, None]).reshape(-1)

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Give rows by number: (m, d) float32."""
        if self.array is not None:
            return self.array[rows]
        view, image = np.divmod(rows, len(self.digests))
        parts = []
        # Rows come view by view, so that each view is one stretch of them.
        for start, end in pairwise([0, *(np.flatnonzero(np.diff(view)) + 1).tolist(), len(rows)]):
            keys = [replace(key, view=int(view[start])) for key in self.keys]
            parts.append(join([self.store.get(key, self.digests[image[start:end]]) for key in keys]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def block(self) -> int:
        """How many images to handle at a time, views and all."""
        return max(1, BLOCK_BYTES // (4 * self.views * self.dim)) if self.array is None else len(self.digests)
