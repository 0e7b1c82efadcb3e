"""The fast solvers as scikit-learn estimators: drop-in for `LogisticRegression` and `LinearSVC` on dense features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.linear.fit import fit_linear
from featx.linear.lbfgs import Effort


class RowSpaceClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What both estimators share; not for use by itself.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    tol : float
        Squared relative error of the weights in the norm of the Hessian.
    max_iter : int
        Steps at each C on the way to the one asked for.

    Attributes
    ----------
    classes_ : (k,) any dtype
    coef_ : (k, d) or (1, d) float64
        One row where there are two classes.
    intercept_ : (k,) or (1,) float64
    n_iter_ : int
    """

    kind: str

    def __init__(self, C: float = 1.0, *, tol: float = 1e-10, max_iter: int = 1000) -> None:
        self.C = C
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any) -> RowSpaceClassifier:
        """Fit on X (n, d) and labels y (n,).

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y has fewer than two classes, or C is not positive.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        model = fit_linear(X, y, self.kind, self.C, Effort(self.tol, self.max_iter), power=None)
        self.classes_ = model.classes
        self.coef_, self.intercept_ = model.folded()
        self.n_iter_ = model.n_iter
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Score rows: (n, k), or (n,) where there are two classes, positive for the second."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        scores: NDArray[np.float64] = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> NDArray[np.generic]:
        """Choose the class of each row, (n,)."""
        scores = self.decision_function(X)
        chosen = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[np.generic] = self.classes_[chosen]
        return labels


class RowSpaceLogisticRegression(RowSpaceClassifier):
    """Multinomial logistic regression, the objective of scikit-learn's `LogisticRegression(solver="lbfgs")`.

    |w|^2 / 2 + C sum log-loss, with a free intercept.
    """

    kind = "logreg"

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of every class, (n, k)."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return np.stack([expit(-scores), expit(scores)], axis=1)
        shares: NDArray[np.float64] = softmax(scores, axis=1)
        return shares

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the logarithm of `predict_proba`, (n, k)."""
        return np.log(self.predict_proba(X))


class RowSpaceLinearSVC(RowSpaceClassifier):
    """Linear SVM, one class against the rest: scikit-learn's `LinearSVC(loss="squared_hinge")` on centred columns.

    (|w|^2 + b^2) / 2 + C sum max(0, 1 - y f)^2, where b is the score at the mean of the training rows. `LinearSVC`
    penalises the score at the origin instead, so that there a shift of all features changes the model; on standardised
    features they agree.
    """

    kind = "svm"
