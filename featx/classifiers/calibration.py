"""Makes probabilities of an SVM's margins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from featx.classifiers.to_arrays import to_arrays
from featx.linear.fit import ROUGH, fit_linear
from featx.linear.lapack import one_thread
from featx.types import Fold, Matrix

REACH = 8.0
"""Sharpness is searched from exp(-8) to exp(8)."""


def fit_inverse_temperature(scores: NDArray[np.float64], y: NDArray[np.intp]) -> float:
    """Find what to multiply scores by, so that their softmax has the greatest likelihood.

    Temperature scaling (Guo et al., 2017), inverse_temperature being 1 / temperature. The loss is convex in it.

    Parameters
    ----------
    scores : (n, k) float64
        Of rows that the classifier was not trained on.
    y : (n,) int

    Returns
    -------
    float
        Positive.
    """
    own = scores[np.arange(len(y)), y]

    def loss(exponent: float) -> float:
        inverse_temperature = np.exp(exponent)
        return float(np.mean(logsumexp(inverse_temperature * scores, axis=1) - inverse_temperature * own))

    return float(np.exp(minimize_scalar(loss, bounds=(-REACH, REACH), method="bounded").x))


def fold_scores(
    kind: str, C: float, X: Matrix, y: NDArray[np.intp], fold: Fold
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Fit on one part of the rows, and score those of the other whose class was seen."""
    train, judged = fold
    present = np.unique(y[train])
    views = judged.reshape(len(judged), -1)
    views = views[np.isin(y[views[:, 0]], present)]
    scores = to_arrays(fit_linear(X[train], y[train], kind, C, ROUGH)).scores(X[views.reshape(-1)])
    return scores.reshape(*views.shape, scores.shape[1]).mean(axis=1), np.searchsorted(present, y[views[:, 0]])


def calibrate(kind: str, C: float, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> float:
    """Fit the inverse_temperature of a linear classifier on margins that cross-validation gives.

    Parameters
    ----------
    X : (n, d) float
        Training rows only; scaling is fitted inside each fold.
    y : (n,) int
    folds : sequence of (train rows, validation rows)

    Returns
    -------
    float
        1 where no fold can be judged.
    """
    with one_thread():
        parts = Parallel(prefer="threads")(delayed(fold_scores)(kind, C, X, y, fold) for fold in folds)
    width = max(scores.shape[1] for scores, _ in parts)
    parts = [part for part in parts if part[0].shape[1] == width and len(part[1])]
    if not parts:
        return 1.0
    return fit_inverse_temperature(
        np.vstack([scores for scores, _ in parts]), np.concatenate([codes for _, codes in parts])
    )
