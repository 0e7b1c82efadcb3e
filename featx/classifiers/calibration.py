"""Turn the margins of an SVM into probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from featx.classifiers.temperature import fit_inverse_temperature
from featx.classifiers.to_arrays import to_arrays
from featx.linear.fit import fit_linear
from featx.linear.lapack import one_thread
from featx.linear.options import ROUGH
from featx.types import Fold, Matrix


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
