"""What features are worth, in closed form: cross-validated ridge regression on class indicators.

One eigendecomposition of the rows' inner products serves every penalty and every fold, so a set of layers is judged in
a fraction of the time that a classifier takes. That is enough to make a shortlist, not to state an accuracy. Callers
see to it that linear algebra has one thread (`featx.linear.lapack.one_thread`), since they may work in threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from featx.classifiers.figures import balanced_accuracy
from featx.linear.lapack import decompose_symmetric, rounding_of
from featx.types import Codes, Fold, Matrix

PENALTIES: tuple[float, ...] = tuple(np.geomspace(1e-3, 10, 9).tolist())
"""Penalties to try, in mean eigenvalues of the Gram matrix; two a decade, as of C."""

NEVER_VALIDATES = -1
"""Prediction of a row that is trained on in every fold."""


@dataclass(frozen=True)
class RidgeTargets:
    """Labels and folds that many Gram matrices are judged by.

    Attributes
    ----------
    y : (n,) int
        Classes.
    folds : sequence of (train rows, validation rows)
        Each row validates once at most, and trains in all other folds.
    balanced : bool
        Whether classes count alike in the accuracy, however many rows they have.
    """

    y: NDArray[np.intp]
    folds: Sequence[Fold]
    balanced: bool = False


def score_gram(gram: NDArray[np.float32], targets: RidgeTargets, penalties: Sequence[float] = PENALTIES) -> float:
    """Cross-validate ridge regression on class indicators: accuracy at the best of some penalties.

    Parameters
    ----------
    gram : (n, n) float32
        Inner products of centred rows.
    targets : RidgeTargets
    penalties : sequence of float
        In mean eigenvalues of the Gram matrix.
    """
    predicted = predict_left_out(gram, targets, penalties)
    validates = predicted[0] != NEVER_VALIDATES
    truth = targets.y[validates]
    return max(rate(truth, of_penalty[validates], targets.balanced) for of_penalty in predicted)


def rate(truth: Codes, predicted: Codes, balanced: bool) -> float:
    """Give the plain or the balanced accuracy; both (n,) int."""
    return balanced_accuracy(truth, predicted) if balanced else float((truth == predicted).mean())


def predict_left_out(
    gram: NDArray[np.float32], targets: RidgeTargets, penalties: Sequence[float] = PENALTIES
) -> NDArray[np.intp]:
    """Predict the rows of each fold by kernel ridge regression on all others, intercept included.

    Parameters
    ----------
    gram : (n, n) float32 or float64
        Inner products of centred rows; its dtype is the one of the arithmetic.
    targets : RidgeTargets
    penalties : sequence of float
        In mean eigenvalues of the Gram matrix.

    Returns
    -------
    (number of penalties, n) int
        Classes; `NEVER_VALIDATES` for rows that validate in no fold.

    Notes
    -----
    No fold is fitted. With H the matrix that takes targets y to fitted values, the rows v of a fold are left with
    residuals (I - H)_vv^-1 (y - H y)_v by a fit on all other rows: Allen (1974, The relationship between variable
    selection and data augmentation and a method for prediction) of single rows, An, Liu and Venkatesh (2007, Fast
    cross-validation algorithms for least squares support vector machine and kernel ridge regression) of folds. Columns
    stay as all rows have them scaled; the intercept is the one of the training rows.
    """
    classes = np.unique(targets.y)
    indicators = (targets.y[:, None] == classes).astype(gram.dtype)
    predicted = np.full((len(penalties), len(gram)), NEVER_VALIDATES)
    n = len(gram)
    unit = float(np.trace(gram)) / n
    # The constant vector, lifted above all others, is the last: what the intercept fits is not penalised.
    values, vectors = decompose_symmetric(gram + gram.dtype.type(2 * (unit or 1.0)))
    values = np.maximum(values[:-1], 0)
    vectors = np.ascontiguousarray(vectors[:, :-1])
    rotated = vectors.T @ indicators
    for place, penalty in enumerate(penalties):
        # Where all rows are equal there is no eigenvalue to measure by, and any penalty will do.
        shrinkage = penalty * (unit or 1.0) / (values + penalty * (unit or 1.0))
        residuals = (vectors * shrinkage) @ rotated
        for train, val in targets.folds:
            left_out = residuals[val]
            if len(train) + len(val) == n:
                left_out = leave_out(vectors[val], shrinkage, left_out)
            predicted[place, val] = classes[(indicators[val] - left_out).argmax(axis=1)]
    return predicted


def leave_out(vectors: Matrix, shrinkage: NDArray[np.floating[Any]], residuals: Matrix) -> Matrix:
    """Turn residuals of a fit on all rows into those of a fit without the rows of one fold.

    Parameters
    ----------
    vectors : (m, n - 1) float
        Rows of the eigenvectors that belong to the fold.
    shrinkage : (n - 1,) float
        What the fit leaves of each eigenvector.
    residuals : (m, k) float

    Returns
    -------
    (m, k) float64
    """
    of_fold = ((vectors * shrinkage) @ vectors.T).astype(np.float64)
    # Never indefinite but by rounding.
    of_fold[np.diag_indices_from(of_fold)] += 10 * rounding_of(vectors)
    solved = linalg.solve(of_fold, residuals.astype(np.float64), assume_a="pos", check_finite=False)
    return np.asarray(solved)
