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
from featx.linear.weighting import WeightedLabels, Weighting, average_weighted, take_positive
from featx.types import Fold, Matrix

MAX_EXPONENT = 8.0
"""The inverse temperature is searched from exp(-8) to exp(8), which suits margins from about 0.001 to 1,000."""


def fit_inverse_temperature(
    scores: NDArray[np.float64], y: NDArray[np.intp], row_weights: NDArray[np.float64] | None = None
) -> float:
    """Find the factor by which scores are multiplied so that their softmax has the greatest likelihood.

    Parameters
    ----------
    scores : (n, k) float64
        Scores of rows that the classifier was not trained on.
    y : (n,) int
    row_weights : (n,) float64, optional
        How often each row counts.

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
        losses = logsumexp(inverse_temperature * scores, axis=1) - inverse_temperature * true_scores
        return average_weighted(losses, row_weights)

    best = minimize_scalar(loss, bounds=(-MAX_EXPONENT, MAX_EXPONENT), method="bounded")
    return float(np.exp(best.x))


def score_val_rows(
    kind: str, C: float, X: Matrix, y: NDArray[np.intp], fold: Fold, weighting: Weighting
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Fit on the training rows of a fold, and score those validation rows whose class was trained on.

    Returns
    -------
    scores : (m, k) float64
        Averaged over views.
    codes : (m,) int
        Index of the true class among the classes trained on.
    rows : (m,) int
        Which rows these are.
    """
    train, val = fold
    train = take_positive(train, weighting)
    classes = np.unique(y[train])
    views = val.reshape(len(val), -1)
    views = views[np.isin(y[views[:, 0]], classes)]
    labels = WeightedLabels(y[train], weighting.take(train))
    classifier = to_arrays(fit_linear(X[train], labels, kind, C, ROUGH))
    scores = classifier.scores(X[views.reshape(-1)])
    view_scores = scores.reshape(*views.shape, scores.shape[1])
    return view_scores.mean(axis=1), np.searchsorted(classes, y[views[:, 0]]), views[:, 0]


def calibrate(
    kind: str,
    C: float,
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    weighting: Weighting | None = None,
) -> float:
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
    weighting : Weighting, optional
        How much rows and classes count in the fits. In the likelihood only rows have their weights: what an error on a
        class costs says nothing of how probable the class is.

    Returns
    -------
    float
        1 where no fold has a validation row of a class it trains on.
    """
    weighting = weighting or Weighting()
    with one_thread():
        fold_scores = Parallel(prefer="threads")(
            delayed(score_val_rows)(kind, C, X, y, fold, weighting) for fold in folds
        )
    # Scores of folds that lack a class cannot be put beside those of the others.
    width = max(scores.shape[1] for scores, _, _ in fold_scores)
    usable = [part for part in fold_scores if part[0].shape[1] == width and len(part[1])]
    if not usable:
        return 1.0
    all_scores, all_codes, all_rows = zip(*usable, strict=True)
    row_weights = weighting.take(np.concatenate(all_rows)).rows
    return fit_inverse_temperature(np.vstack(all_scores), np.concatenate(all_codes), row_weights)
