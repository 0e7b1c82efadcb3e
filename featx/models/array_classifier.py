"""A fitted classifier as plain arrays, so that a file can hold it without code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from featx.errors import ModelError
from featx.types import Matrix

Arrays = Mapping[str, NDArray[Any]]


CALIBRATIONS = {
    "logreg": "softmax of the scores",
    "mlp": "softmax of the scores",
    "svm": "softmax of the margins times the inverse temperature fitted on cross-validated margins",
}
"""Kind of classifier: how its scores become probabilities, in words."""


@dataclass(frozen=True)
class ArrayClassifier:
    """A classifier that is nothing but arrays, so that a file can hold it without code.

    Attributes
    ----------
    kind : str
        "logreg", "svm" or "mlp".
    arrays : mapping of str to array
        All kinds: `mean`, `scale` (d,) float64. Linear kinds: `weights` (k, d) and `intercept` (k,) float64, one row
        where there are two classes. MLP: `hidden_weights` (h, d), `hidden_intercept` (h,), `weights` (k, h) and
        `intercept` (k,) float32.
    inverse_temperature : float
        What scores are multiplied by before the softmax: 1 but for the SVM, whose margins are no log-odds.
    """

    kind: str
    arrays: Arrays
    inverse_temperature: float = 1.0

    def scores(self, X: Matrix) -> NDArray[np.float64]:
        """Score every class: (n, d) features to (n, k) float64; of two classes the first one scores 0."""
        if X.ndim != 2 or X.shape[1] != len(self.arrays["mean"]):
            raise ModelError(f"the model takes features of {len(self.arrays['mean'])} numbers, not of {X.shape[1:]}")
        scaled = (X.astype(np.float64) - self.arrays["mean"]) / self.arrays["scale"]
        if self.kind == "mlp":
            hidden = scaled.astype(np.float32) @ self.arrays["hidden_weights"].T + self.arrays["hidden_intercept"]
            scaled = np.maximum(hidden, 0)
        scores = (scaled @ self.arrays["weights"].T + self.arrays["intercept"]).astype(np.float64)
        return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores

    def predict(self, X: Matrix) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Choose classes and say how sure that is.

        Probabilities are the softmax of the scores. Margins of an SVM are multiplied by `inverse_temperature` first: temperature
        scaling (Guo et al., 2017, On Calibration of Modern Neural Networks), which never changes the class chosen.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d): v views of each image, whose scores are averaged

        Returns
        -------
        chosen : (n,) int
        probabilities : (n, k) float64

        Raises
        ------
        ModelError
            If the features are of another length.
        """
        scores = self.scores(X.reshape(-1, X.shape[-1]))
        scores = scores.reshape(*X.shape[:-1], -1).mean(axis=1) if X.ndim == 3 else scores
        return scores.argmax(axis=1), softmax(self.inverse_temperature * scores, axis=1)


@dataclass(frozen=True)
class Opaque:
    """Any scikit-learn classifier, behind the method that `ArrayClassifier` has; no file can hold it."""

    estimator: Any

    def predict(self, X: Matrix) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Choose classes of (n, d) features: (n,) int, and (n, k) float64 probabilities, 0 or 1 if it states none.

        Of (n, v, d), v views of each image, the probabilities are averaged.
        """
        if X.ndim == 3:
            shares = self.predict(X.reshape(-1, X.shape[-1]))[1].reshape(*X.shape[:-1], -1).mean(axis=1)
            return shares.argmax(axis=1), shares
        chosen = np.asarray(self.estimator.predict(X), np.intp)
        if hasattr(self.estimator, "predict_proba"):
            return chosen, np.asarray(self.estimator.predict_proba(X), np.float64)
        return chosen, np.eye(len(self.estimator.classes_))[chosen]
