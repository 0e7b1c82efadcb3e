"""Whether the training part and the held-out part can be told apart: covariate shift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.out_of_fold import Setting, score_out_of_fold
from featx.classifiers.search import DEFAULT_OPTIONS
from featx.evaluation.metrics import Z95
from featx.features.splits import make_folds
from featx.types import Matrix

PENALTY = {"C": 0.01}
"""Strength of the classifier: near what is chosen for classes; parts that do not differ have 0.5 at any."""

MOST_ROWS = 6000
"""Of more rows so many are drawn: the interval is narrow enough."""

LEAST_ROWS = 10
"""Fewer rows of a part say nothing."""


@dataclass(frozen=True)
class Shift:
    """How well the two parts can be told apart.

    Attributes
    ----------
    auc, low, high : float
        Area under the ROC curve of a classifier in cross-validation, 0.5 where nothing tells them apart, and its 95 %
        interval.
    is_warned : bool
        Whether the interval lies above 0.5, and the area is worth mentioning.
    """

    auc: float
    low: float
    high: float
    is_warned: bool


LARGE = 0.6
"""Areas below tell little, however sure they are."""


def measure_shift(X: Matrix, is_held_out: NDArray[np.bool_], groups: NDArray[np.intp], seed: int) -> Shift | None:
    """Train a classifier to tell held-out rows from others; None where there are too few of either.

    Parameters
    ----------
    X : (n, d) float
    is_held_out : (n,) bool
    groups : (n,) int
        Rows of one group stay in one fold.
    seed : int
    """
    rows = np.arange(len(X))
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    parts = is_held_out[rows].astype(np.intp)
    if min(parts.sum(), len(parts) - parts.sum()) < LEAST_ROWS:
        return None
    folds = make_folds(parts, groups[rows], seed)
    setting = Setting("logreg", PENALTY, seed, DEFAULT_OPTIONS)
    scores = score_out_of_fold(setting, X[rows], parts, folds)
    known = np.isfinite(scores).all(axis=1)
    auc = compute_auc(scores[known, 1] - scores[known, 0], parts[known] == 1)
    half = Z95 * find_auc_error(auc, int(parts[known].sum()), int((1 - parts[known]).sum()))
    low, high = max(0.0, auc - half), min(1.0, auc + half)
    return Shift(auc, low, high, low > 0.5 and auc >= LARGE)


def compute_auc(scores: NDArray[np.float64], is_positive: NDArray[np.bool_]) -> float:
    """Give the share of pairs in which the positive one scores higher, ties by half."""
    ordered = np.sort(scores[~is_positive])
    positive = scores[is_positive]
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean()) / 2 / len(ordered)


def find_auc_error(auc: float, positive: int, negative: int) -> float:
    """Give the standard error of an area under the ROC curve (Hanley and McNeil, 1982)."""
    both_higher = auc / (2 - auc)
    both_lower = 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positive - 1) * (both_higher - auc**2) + (negative - 1) * (both_lower - auc**2)
    return math.sqrt(variance / (positive * negative))
