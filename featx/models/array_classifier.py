"""A fitted classifier as plain arrays, so that a file can hold it without code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ModelError
from featx.models.neighbours import ADDED_VOTES, count_votes, find_nearest, scale_rows
from featx.types import Matrix

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by their names."""

CALIBRATIONS = {
    "logreg": "softmax of the scores",
    "mlp": "softmax of the scores",
    "svm": "softmax of the margins times the inverse temperature fitted on cross-validated margins",
    "knn": f"shares of the votes of the k nearest training pictures, of which each class has {ADDED_VOTES} more",
    "dummy": "shares of the classes in the training part",
}
"""Kind of classifier: how its scores become probabilities, in words."""


@dataclass(frozen=True)
class ArrayClassifier:
    """A classifier that consists of arrays alone, so that a file can hold it without code.

    Attributes
    ----------
    kind : str
        One of `CALIBRATIONS`.
    arrays : mapping of str to array
        All kinds: `mean`, `scale` (d,) float64. Linear kinds: `weights` (k, d) and `intercept` (k,) float64, one row
        where there are two classes; of the dummy, which knows only how frequent classes are, all weights are 0. MLP:
        `hidden_weights` (h, d), `hidden_intercept` (h,), `weights` (k, h) and `intercept` (k,) float32. Nearest
        neighbours: `neighbours` (v * n, d) float32, v views of n pictures; `labels` (n,) int64, their classes; and how
        many vote, `k` (1,) int64.
    inverse_temperature : float
        What scores are multiplied by before the softmax: 1 except for the SVM, whose margins are not log-odds.
    """

    kind: str
    arrays: Arrays
    inverse_temperature: float = 1.0

    def scores(self, X: Matrix) -> NDArray[np.float64]:
        """Score every class.

        Parameters
        ----------
        X : (n, d) float

        Returns
        -------
        (n, k) float64
            Where there are two classes, the first one scores 0. Nearest neighbours: shares of the votes.

        Raises
        ------
        ModelError
            If the features do not have the length that the classifier was fitted on.
        """
        length = len(self.arrays["mean"])
        if X.ndim != 2 or X.shape[1] != length:
            raise ModelError(
                f"the model takes features of {length} numbers, not an array of shape {X.shape}: "
                "compute them with the base, layers and poolings that the model names"
            )
        if self.kind == "knn":
            return self._count_votes(X)
        inputs: Matrix = (X.astype(np.float64) - self.arrays["mean"]) / self.arrays["scale"]
        if self.kind == "mlp":
            inputs = self._hidden(inputs)
        scores = (inputs @ self.arrays["weights"].T + self.arrays["intercept"]).astype(np.float64)
        if scores.shape[1] == 1:
            return np.hstack([np.zeros_like(scores), scores])
        return scores

    def _count_votes(self, X: Matrix) -> NDArray[np.float64]:
        """Let the nearest training pictures vote: (n, d) to shares (n, k) float64."""
        labels = self.arrays["labels"]
        most = int(self.arrays["k"][0])
        queries = scale_rows(X, self.arrays["mean"], self.arrays["scale"])
        nearest = find_nearest(queries, self.arrays["neighbours"], len(labels), most)
        (shares,) = count_votes(nearest, labels, int(labels.max()) + 1, [most])
        return shares

    def _hidden(self, inputs: Matrix) -> NDArray[np.float32]:
        """Compute the hidden layer of the MLP: standardised (n, d) to (n, h) float32."""
        # In float32, as it was trained: the arrays of the layers are float32, too.
        hidden = inputs.astype(np.float32) @ self.arrays["hidden_weights"].T + self.arrays["hidden_intercept"]
        return np.maximum(hidden, 0)

    def predict(self, X: Matrix) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Choose classes and say how sure that is.

        Probabilities are the softmax of the scores. Margins of an SVM are multiplied by `inverse_temperature` first:
        temperature scaling (Guo et al., 2017, On Calibration of Modern Neural Networks), which never changes the class
        that is chosen. The votes of neighbours are probabilities as they are.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d) for v views of each image, whose scores are averaged

        Returns
        -------
        codes : (n,) int
            Places of the chosen classes.
        probabilities : (n, k) float64

        Raises
        ------
        ModelError
            If the features do not have the length that the classifier was fitted on.
        """
        scores = self.scores(X.reshape(-1, X.shape[-1]))
        if X.ndim == 3:
            scores = scores.reshape(*X.shape[:-1], -1).mean(axis=1)
        if self.kind == "knn":
            return scores.argmax(axis=1), scores
        return scores.argmax(axis=1), compute_softmax(self.inverse_temperature * scores)


def compute_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn (n, k) scores into probabilities, bit for bit as `scipy.special.softmax` does.

    Importing that would take most of the time of reading a model.
    """
    # The largest score becomes 0, so that nothing overflows.
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


@dataclass(frozen=True)
class Opaque:
    """Any scikit-learn classifier, behind the method that `ArrayClassifier` has; no file can hold it.

    Attributes
    ----------
    estimator : object
        Fitted on the places of the classes; with `predict` and, where it has one, `predict_proba`.
    """

    estimator: Any

    def predict(self, X: Matrix) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Choose classes and say how sure that is.

        Parameters
        ----------
        X : (n, d) float, or (n, v, d) for v views of each image, whose probabilities are averaged

        Returns
        -------
        codes : (n,) int
            Places of the chosen classes.
        probabilities : (n, k) float64
            0 or 1 where the estimator states none.
        """
        if X.ndim == 3:
            _, probabilities = self.predict(X.reshape(-1, X.shape[-1]))
            mean = probabilities.reshape(*X.shape[:-1], -1).mean(axis=1)
            return mean.argmax(axis=1), mean
        codes = np.asarray(self.estimator.predict(X), np.intp)
        if hasattr(self.estimator, "predict_proba"):
            return codes, np.asarray(self.estimator.predict_proba(X), np.float64)
        return codes, np.eye(len(self.estimator.classes_))[codes]
