"""Turn the margins of an SVM into probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from featx.classifiers.temperature import fit_inverse_temperature
from featx.classifiers.to_arrays import to_arrays
from featx.linear.fit import LinearModel, fit_linear
from featx.linear.lapack import one_thread
from featx.linear.options import ROUGH
from featx.linear.weighting import WeightedLabels, Weighting, take_positive
from featx.types import Fold, Matrix


def score_val_rows(
    kind: str | LinearModel, C: float, X: Matrix, y: NDArray[np.intp], fold: Fold, weighting: Weighting
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
    start = None
    if isinstance(kind, LinearModel):
        start = kind.start
        kind = kind.kind
    train, val = fold
    train = take_positive(train, weighting)
    classes = np.unique(y[train])
    views = val.reshape(len(val), -1)
    views = views[np.isin(y[views[:, 0]], classes)]
    labels = WeightedLabels(y[train], weighting.take(train))
    classifier = to_arrays(fit_linear(X[train], labels, kind, C, replace(ROUGH, start=start)))
    scores = classifier.scores(X[views.reshape(-1)])
    view_scores = scores.reshape(*views.shape, scores.shape[1])
    return view_scores.mean(axis=1), np.searchsorted(classes, y[views[:, 0]]), views[:, 0]


def calibrate(
    kind: str | LinearModel,
    C: float,
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    weighting: Weighting | None = None,
) -> float:
    """Fit the inverse temperature of a linear classifier on the margins of cross-validation.

    Parameters
    ----------
    kind : str or LinearModel
        "logreg" or "svm"; or the model of all rows, from which fits on many rows begin, near those of folds.
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
        if len(folds) == 1:
            # In this thread, which may share its passes among all cores.
            fold_scores = [score_val_rows(kind, C, X, y, folds[0], weighting)]
        else:
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
