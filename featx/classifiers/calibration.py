"""Turn the margins of an SVM into probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from featx.classifiers.to_arrays import to_arrays
from featx.linear.fit import fit_linear
from featx.linear.lapack import one_thread
from featx.linear.options import ROUGH
from featx.types import Fold, Matrix

MAX_EXPONENT = 8.0
"""The inverse temperature is searched from exp(-8) to exp(8), which suits margins from about 0.001 to 1,000."""


def fit_inverse_temperature(scores: NDArray[np.float64], y: NDArray[np.intp]) -> float:
    """Find the factor by which scores are multiplied so that their softmax has the greatest likelihood.

    Parameters
    ----------
    scores : (n, k) float64
        Scores of rows that the classifier was not trained on.
    y : (n,) int

    Returns
    -------
    float
        Positive.

    Notes
    -----
    Temperature scaling (Guo et al., 2017, On Calibration of Modern Neural Networks); the loss is convex in the
    inverse temperature.
    """
    true_scores = scores[np.arange(len(y)), y]

    def loss(exponent: float) -> float:
        inverse_temperature = np.exp(exponent)
        return float(np.mean(logsumexp(inverse_temperature * scores, axis=1) - inverse_temperature * true_scores))

    best = minimize_scalar(loss, bounds=(-MAX_EXPONENT, MAX_EXPONENT), method="bounded")
    return float(np.exp(best.x))


def score_val_rows(
    kind: str, C: float, X: Matrix, y: NDArray[np.intp], fold: Fold
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Fit on the training rows of a fold, and score those validation rows whose class was trained on.

    Returns
    -------
    scores : (m, k) float64
        Averaged over views.
    codes : (m,) int
        Index of the true class among the classes trained on.
    """
    train, val = fold
    classes = np.unique(y[train])
    views = val.reshape(len(val), -1)
    views = views[np.isin(y[views[:, 0]], classes)]
    classifier = to_arrays(fit_linear(X[train], y[train], kind, C, ROUGH))
    scores = classifier.scores(X[views.reshape(-1)])
    view_scores = scores.reshape(*views.shape, scores.shape[1])
    return view_scores.mean(axis=1), np.searchsorted(classes, y[views[:, 0]])


def calibrate(kind: str, C: float, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> float:
    """Fit the inverse temperature of a linear classifier on the margins of cross-validation.

    Parameters
    ----------
    kind : str
        "logreg" or "svm".
    C : float
    X : (n, d) float
        Training rows only; scaling is fitted inside each fold.
    y : (n,) int
    folds : sequence of (train rows, validation rows)

    Returns
    -------
    float
        1 where no fold has a validation row of a class it trains on.
    """
    with one_thread():
        fold_scores = Parallel(prefer="threads")(delayed(score_val_rows)(kind, C, X, y, fold) for fold in folds)
    # Scores of folds that lack a class cannot be put beside those of the others.
    width = max(scores.shape[1] for scores, _ in fold_scores)
    usable = [part for part in fold_scores if part[0].shape[1] == width and len(part[1])]
    if not usable:
        return 1.0
    all_scores, all_codes = zip(*usable, strict=True)
    return fit_inverse_temperature(np.vstack(all_scores), np.concatenate(all_codes))
