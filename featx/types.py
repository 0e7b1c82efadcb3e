"""Names for the arrays and callbacks that many modules share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
"""Features or scores: (n, d) floating."""

Pixels = NDArray[np.uint8]
"""One picture: (height, width, 3) uint8."""

Codes = NDArray[np.integer[Any]]
"""Places of classes: (n,) int."""

RowNumbers = NDArray[np.intp]
"""Row numbers of a data set: (m,) int."""

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Row numbers of the training and of the validation part of one fold."""

LayerFeatures = dict[tuple[str, str], NDArray[np.float32]]
"""What a base computed of n images: (layer, pooling) to (n, ...) float32."""

WantedLayers = Mapping[str, Sequence[str]]
"""Exact names of the layers to compute, each with the names of its poolings."""

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is in all."""


@runtime_checkable
class NotedProgress(Protocol):
    """Progress that also takes a few words on what the work is waiting for."""

    def __call__(self, done: int, total: int) -> None:
        """Take how much is done and how much there is in all."""

    def note(self, remark: str) -> None:
        """Take the words; none if there is nothing to be said."""
