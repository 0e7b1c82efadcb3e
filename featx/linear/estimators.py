"""The fast solvers as scikit-learn estimators: drop-in for `LogisticRegression` and `LinearSVC` on dense features."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from featx.linear.fit import fit_linear
from featx.linear.options import SolverOptions
from featx.linear.weighting import ClassWeights, WeightedLabels, Weighting

# So few rows are solved to the last digits whatever the tolerance, since that costs nothing: there repeated rows and
# weighted rows give models that agree in the seven digits which scikit-learn's checks compare.
FEW_ROWS = 100
LAST_DIGITS = 1e-16


class LinearEstimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What both estimators share; not for use by itself."""

    kind: str

    def __init__(
        self, C: float = 1.0, *, tol: float = 1e-10, max_iter: int = 1000, class_weight: ClassWeights | None = None
    ) -> None:
        self.C = C
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : (n, d) float32 or float64
        y : (n,) any dtype
            Labels.
        sample_weight : (n,) float or a number, optional
            How often each row counts: 2 is the row twice, 0 a row that is not there.

        Returns
        -------
        The fitted estimator itself.

        Raises
        ------
        ValueError
            If X holds NaN or infinity, y has fewer than two classes, C is not positive, or weights are negative.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        rows = None
        if sample_weight is not None:
            rows = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        tolerance = min(self.tol, LAST_DIGITS) if len(X) <= FEW_ROWS else self.tol
        options = SolverOptions(tolerance, self.max_iter)
        # Columns are centred only: the penalty is that of the features as they are given.
        labels = WeightedLabels(y, Weighting(self.class_weight, rows))
        model = fit_linear(X, labels, self.kind, self.C, options, power=None)
        self.classes_ = model.classes
        self.coef_, self.intercept_ = model.fold_scaling()
        if self.kind == "logreg" and len(self.classes_) > 2:
            # A common shift changes no probability, so no step ever takes back what rounding makes of it.
            self.intercept_ = self.intercept_ - self.intercept_.mean()
        self.n_iter_ = model.n_iter
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Score every class for every row.

        Parameters
        ----------
        X : (n, d) float32 or float64

        Returns
        -------
        (n, k) float64, or (n,) where there are two classes: positive for the second.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        scores: NDArray[np.float64] = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> NDArray[np.generic]:
        """Choose the class of each row.

        Parameters
        ----------
        X : (n, d) float32 or float64

        Returns
        -------
        (n,) as the labels
        """
        scores = self.decision_function(X)
        codes = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[np.generic] = self.classes_[codes]
        return labels


class LogisticRegression(LinearEstimator):
    """Multinomial logistic regression, the objective of scikit-learn's `LogisticRegression` with its default solver.

    |w|^2 / 2 + C sum log-loss, the intercept not penalised; each loss times the weight of its row and of its class.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    tol : float
        Squared relative error of the weights in the norm of the Hessian: smaller than the `tol` of scikit-learn,
        which is a bound on the gradient.
    max_iter : int
        Most steps at each C on the way to the one asked for.
    class_weight : "balanced", mapping of label to float, or None
        As in scikit-learn: 1 for labels that are not named; "balanced" is n / (k n_class), rows counted by their
        weights.

    Attributes
    ----------
    classes_ : (k,) any dtype
    coef_ : (k, d) float64, or (1, d) where there are two classes
    intercept_ : (k,) float64, or (1,)
        With more than two classes their mean is 0: a common shift changes no probability.
    n_iter_ : int
        Steps, summed over every C on the way.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from featx.linear import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = LogisticRegression(C=1.0).fit(X, y)
    >>> classifier.predict(X[[0, 60, 120]])
    array([0, 1, 2])
    >>> round(classifier.score(X, y), 2)
    0.97
    """

    kind = "logreg"

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Compute the probability of every class: the softmax of the scores.

        Parameters
        ----------
        X : (n, d) float32 or float64

        Returns
        -------
        (n, k) float64
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return np.stack([expit(-scores), expit(scores)], axis=1)
        probabilities: NDArray[np.float64] = softmax(scores, axis=1)
        return probabilities

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Compute the logarithm of `predict_proba`, (n, k) float64."""
        return np.log(self.predict_proba(X))


class LinearSVC(LinearEstimator):
    """Linear SVM, one class against the rest: scikit-learn's `LinearSVC(loss="squared_hinge")` on centred columns.

    (|w|^2 + b^2) / 2 + C sum max(0, 1 - y f)^2, where b is the score at the mean of the training rows. Scikit-learn's
    `LinearSVC` penalises the score at the origin instead, so that there a shift of all features changes the model; on
    standardised features both agree. Weighted rows have a weighted mean (so does a `StandardScaler` that is given the
    same weights), while weights of classes leave it where it is.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    tol : float
        Bound on the relative duality gap.
    max_iter : int
        Most steps at each C on the way to the one asked for, where the solver is L-BFGS (many rows and columns).
    class_weight : "balanced", mapping of label to float, or None
        As in `LogisticRegression`; of more than two classes the weight is that of the class's own rows where it is told
        apart from the rest, which counts 1, as in scikit-learn.

    Attributes
    ----------
    classes_ : (k,) any dtype
    coef_ : (k, d) float64, or (1, d) where there are two classes
    intercept_ : (k,) float64, or (1,)
    n_iter_ : int
        Steps, summed over every C on the way.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from featx.linear import LinearSVC
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = LinearSVC(C=1.0).fit(X, y)
    >>> classifier.predict(X[[0, 60, 120]])
    array([0, 1, 2])
    >>> classifier.decision_function(X).shape
    (150, 3)
    """

    kind = "svm"
