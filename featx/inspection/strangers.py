"""Pictures that are unlike all classes, told by machines that did not see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.models.strangeness import score_folds
from featx.types import Fold, Matrix

FENCE = 1.5
"""Quartile distances below the lower quartile at which a picture counts as a stranger (Tukey, "Exploratory Data
Analysis", 1977)."""


@dataclass(frozen=True)
class Strangers:
    """How familiar each row is.

    Attributes
    ----------
    familiarity : (n,) float64
        About 1 in the middle of a class and 0 far from all; NaN of rows that no fold judged.
    limit : float
        Rows below it are strangers.
    """

    familiarity: NDArray[np.float64]
    limit: float

    def rank(self) -> NDArray[np.intp]:
        """Give the strangers, the strangest first."""
        order = np.argsort(self.familiarity, kind="stable")
        return order[self.familiarity[order] < self.limit]

    def take(self, rows: NDArray[np.intp]) -> Strangers:
        """Give some of the rows, judged as they are among all."""
        return Strangers(self.familiarity[rows], self.limit)


def find_strangers(X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], seed: int) -> Strangers:
    """Rate how familiar rows are to what the other folds hold.

    Parameters
    ----------
    X : (n, d) float
    y : (n,) int
        Classes, numbered from 0.
    folds : sequence of (train rows, validation rows)
    seed : int
    """
    familiarity = score_folds(X, y, folds, seed)
    judged = familiarity[np.isfinite(familiarity)]
    if not len(judged):
        return Strangers(familiarity, -np.inf)
    low, high = np.quantile(judged, [0.25, 0.75])
    return Strangers(familiarity, float(low - FENCE * (high - low)))
