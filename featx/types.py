"""Names for the arrays and callbacks that many modules share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
