"""A small multi-layer perceptron as a scikit-learn estimator, in plain arrays: it is small, and torch slow to load."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.linear.lapack import one_thread

Weights = list[NDArray[np.float32]]


class AdamW:
    """Adam with weight decay apart from the gradient (Kingma and Ba, 2015; Loshchilov and Hutter, 2019)."""

    def __init__(self, weights: Weights, learning_rate: float, weight_decay: float) -> None:
        self.weights = weights
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.steps = 0
        self.means = [np.zeros_like(w) for w in weights]
        self.squares = [np.zeros_like(w) for w in weights]
        # Written over in every step: fresh memory for each term took longer than the arithmetic.
        self.changes = [np.empty_like(w) for w in weights]

    def step(self, gradients: Weights) -> None:
        """Move the weights, in place, against their gradients."""
        self.steps += 1
        rate = self.learning_rate / (1 - 0.9**self.steps)
        root = np.sqrt(1 - 0.999**self.steps)
        for w, g, mean, square, change in zip(
            self.weights, gradients, self.means, self.squares, self.changes, strict=True
        ):
            w *= np.float32(1 - self.learning_rate * self.weight_decay)
            np.subtract(g, mean, out=change)
            change *= np.float32(0.1)
            mean += change
            np.multiply(g, g, out=change)
            change -= square
            change *= np.float32(0.001)
            square += change
            np.sqrt(square, out=change)
            change /= np.float32(root)
            change += np.float32(1e-8)
            np.divide(mean, change, out=change)
            change *= np.float32(rate)
            w -= change


class MLP(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """One hidden layer with ReLU and dropout, trained by AdamW, stopped early on a part of the training rows.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer.
    dropout : float
        Share of hidden units left out in each step (Srivastava et al., 2014).
    learning_rate, weight_decay : float
    batch_size : int or None
        None: a fifth of the rows, from 32 to 512.
    epochs : int
        At most so many passes.
    patience : int
        Passes without a lower loss on the validation rows before training stops; the best weights are kept.
    validation : float
        Share of the training rows, stratified, that only decide when to stop.
    seed : int
    """

    def __init__(
        self,
        hidden: int = 128,
        dropout: float = 0.5,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        batch_size: int | None = None,
        epochs: int = 40,
        patience: int = 8,
        validation: float = 0.15,
        seed: int = 42,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.validation = validation
        self.seed = seed

    def fit(self, X: Any, y: Any) -> Self:
        """Train on (n, d) features and n labels.

        Raises
        ------
        ValueError
            If there are fewer than two classes, or X holds NaN or infinity.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"MLP needs at least two classes; the labels hold one class: {self.classes_[0]!r}")
        learned, judged = self._hold_out(codes)
        self.weights_, self.n_iter_ = self._train(X[learned], codes[learned], X[judged], codes[judged])
        return self

    def _hold_out(self, codes: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rows, classes = np.arange(len(codes)), len(self.classes_)
        count = max(classes, round(self.validation * len(codes)))
        if np.bincount(codes).min() < 2 or len(codes) - count < classes:
            return rows, rows  # too few rows to spare any
        learned, judged = train_test_split(rows, test_size=count, stratify=codes, random_state=self.seed)
        return learned, judged

    def _train(
        self, X: NDArray[np.float32], y: NDArray[np.intp], X_val: NDArray[np.float32], y_val: NDArray[np.intp]
    ) -> tuple[Weights, int]:
        random = np.random.default_rng(self.seed)
        batch_size = self.batch_size or min(512, max(32, len(X) // 5))
        weights = start((X.shape[1], self.hidden, len(self.classes_)), random)
        optimizer = AdamW(weights, self.learning_rate, self.weight_decay)
        best, best_loss, best_epoch, epoch = [w.copy() for w in weights], np.inf, 0, 0
        with one_thread():
            for epoch in range(1, self.epochs + 1):
                order = random.permutation(len(X))
                for first in range(0, len(X), batch_size):
                    rows = order[first : first + batch_size]
                    kept = random.random((len(rows), self.hidden), np.float32) >= self.dropout
                    scale = kept * np.float32(1 / (1 - self.dropout))
                    optimizer.step(gradients(weights, X[rows], y[rows], scale))
                powers = softmax(logits(weights, X_val))
                loss = float(-np.log(np.maximum(powers[np.arange(len(y_val)), y_val], 1e-30)).mean())
                if loss < best_loss:
                    best, best_loss, best_epoch = [w.copy() for w in weights], loss, epoch
                elif epoch - best_epoch >= self.patience:
                    break
        return best, epoch

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Give logits: (n, d) features to (n, classes) float32, or (n,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        scores = logits(self.weights_, X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give probabilities: (n, d) features to (n, classes) float64."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return softmax(logits(self.weights_, X).astype(np.float64))

    def predict(self, X: Any) -> NDArray[Any]:
        """Give the most probable class of each row."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def start(widths: tuple[int, int, int], random: np.random.Generator) -> Weights:
    """Draw weights and biases, uniform within one over the root of the inputs (LeCun et al., 1998)."""
    weights: Weights = []
    for inputs, outputs in pairwise(widths):
        bound = np.float32(1 / np.sqrt(inputs))
        weights += [bound * (2 * random.random(shape, np.float32) - 1) for shape in ((outputs, inputs), (outputs,))]
    return weights


def logits(weights: Weights, X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the network without dropout: (n, d) features to (n, k) logits."""
    weight, bias, weight_out, bias_out = weights
    return np.maximum(X @ weight.T + bias, 0) @ weight_out.T + bias_out


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    """Turn logits (n, k) into probabilities."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def gradients(weights: Weights, X: NDArray[np.float32], y: NDArray[np.intp], scale: NDArray[np.float32]) -> Weights:
    """Differentiate the mean log-loss of a batch.

    Parameters
    ----------
    weights : list of (hidden, d), (hidden,), (k, hidden), (k,) float32
    X : (n, d) float32
    y : (n,) int
    scale : (n, hidden) float32
        What dropout multiplies each hidden unit by.

    Returns
    -------
    list of float32 arrays, as the weights
    """
    weight, bias, weight_out, bias_out = weights
    hidden = X @ weight.T + bias
    scale = scale * (hidden > 0)
    hidden *= scale
    errors = softmax(hidden @ weight_out.T + bias_out)
    errors[np.arange(len(y)), y] -= 1
    errors /= np.float32(len(y))
    back = (errors @ weight_out) * scale
    return [back.T @ X, back.sum(axis=0), errors.T @ hidden, errors.sum(axis=0)]
