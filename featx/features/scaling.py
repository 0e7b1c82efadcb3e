"""How features are scaled before any classifier sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.types import Matrix


def join(parts: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Make one matrix of the features of one or several layers.

    Parameters
    ----------
    parts : sequence of (n, ...) float
        One a layer; each is flattened.

    Returns
    -------
    (n, d) float32
        Rows of each layer have length one, so that contrast counts less and a large layer does not outweigh a small
        one.
    """
    scaled = [unit_length(part.reshape(len(part), -1)) for part in parts]
    return scaled[0] if len(scaled) == 1 else np.hstack(scaled)


def unit_length(X: Matrix) -> Matrix:
    """Scale each row to length one, so that contrast and brightness of a picture count less: (n, d) to (n, d) float32.

    Rows of zeros stay as they are.
    """
    X = np.asarray(X, np.float32)
    return X / measure_lengths(X)[:, None]


def measure_lengths(X: Matrix) -> NDArray[np.float32]:
    """Measure the length of each row, 1 for rows of zeros: what brings them to length one, (n, d) to (n,)."""
    # A float32 sum of a hundred thousand squares (flat features) would lose digits.
    lengths = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64)).astype(np.float32)
    return np.where(lengths > 0, lengths, np.float32(1))
