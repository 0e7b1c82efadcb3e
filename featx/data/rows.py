"""The labelled rows of a data set, in train and held-out part."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.manifest import Manifest
from featx.errors import DataError


@dataclass(frozen=True)
class Rows:
    """The labelled rows of a data set, in train and held-out part.

    Attributes
    ----------
    manifest : Manifest
        Only images that have features.
    classes : list of str
    y : (n,) int
        Places in `classes`.
    groups : (n,) int
        Equal for rows that show the same image.
    test : (n,) bool
        The held-out rows.
    """

    manifest: Manifest
    classes: list[str]
    y: NDArray[np.intp]
    groups: NDArray[np.intp]
    test: NDArray[np.bool_]

    @cached_property
    def digest(self) -> str:
        """Digest of images, labels and split, in their order; 64 hex characters."""
        facts = [self.classes, self.y.tolist(), self.test.tolist()]
        return hashlib.sha256(self.manifest.digests.tobytes() + json.dumps(facts).encode()).hexdigest()


def check_parts(classes: NDArray[Any], y: NDArray[np.intp], test: NDArray[np.bool_], name: str) -> None:
    """Raise DataError unless every class has two images to train on; held-out images are at least one."""
    trained = np.bincount(y[~test], minlength=len(classes))
    if (trained < 2).any():
        few = ", ".join(f"'{classes[code]}' ({trained[code]})" for code in np.flatnonzero(trained < 2))
        raise DataError(f"'{name}': the training part needs at least two images of every class, but has of: {few}")
