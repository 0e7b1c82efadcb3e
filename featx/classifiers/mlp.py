"""A small multi-layer perceptron as a scikit-learn estimator, in numpy: torch is slow to load.

Scikit-learn's `MLPClassifier` is not used because it has no dropout.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.features.group_splits import UndividableGroups, hold_out_groups
from featx.linear.lapack import one_thread

Weights = list[NDArray[np.float32]]
"""Weight and bias of the hidden layer, (h, d) and (h,), and of the output layer, (k, h) and (k,)."""

# Decay rates and epsilon of Adam, as Kingma and Ba (2015) recommend.
BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = np.float32(1e-8)
# One minus them, written out: in float64 the difference has another last digit.
MEAN_STEP = np.float32(0.1)
SQUARE_STEP = np.float32(0.001)
# Bounds of the batch size that follows from the number of rows.
MIN_BATCH = 32
MAX_BATCH = 512
BATCHES_PER_EPOCH = 5
# A probability of 0 counts as this in the log-loss of the validation rows.
MIN_PROBABILITY = 1e-30


class WeightedRows(NamedTuple):
    """Rows (n, d) float32, their classes (n,) int, and their weights (n,) float32 or None."""

    X: NDArray[np.float32]
    y: NDArray[np.intp]
    row_weights: NDArray[np.float32] | None


class AdamW:
    """Adam with weight decay apart from the gradient (Kingma and Ba, 2015; Loshchilov and Hutter, 2019)."""

    def __init__(self, weights: Weights, learning_rate: float, weight_decay: float) -> None:
        self.weights = weights
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.steps = 0
        self.means = [np.zeros_like(weight) for weight in weights]
        self.squares = [np.zeros_like(weight) for weight in weights]
        # Overwritten in every step: fresh memory for each term took longer than the arithmetic.
        self.changes = [np.empty_like(weight) for weight in weights]

    def step(self, gradients: Weights) -> None:
        """Move the weights, in place, against their gradients."""
        self.steps += 1
        rate = self.learning_rate / (1 - BETA_1**self.steps)
        root = np.sqrt(1 - BETA_2**self.steps)
        for weight, gradient, mean, square, change in zip(
            self.weights, gradients, self.means, self.squares, self.changes, strict=True
        ):
            weight *= np.float32(1 - self.learning_rate * self.weight_decay)
            np.subtract(gradient, mean, out=change)
            change *= MEAN_STEP
            mean += change
            np.multiply(gradient, gradient, out=change)
            change -= square
            change *= SQUARE_STEP
            square += change
            np.sqrt(square, out=change)
            change /= np.float32(root)
            change += EPSILON
            np.divide(mean, change, out=change)
            change *= np.float32(rate)
            weight -= change


class MLP(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """One hidden layer with ReLU and dropout, trained by AdamW, stopped early on a part of the training rows.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer.
    dropout : float
        Share of hidden units that each step leaves out (Srivastava et al., 2014).
    learning_rate, weight_decay : float
    batch_size : int or None
        None: a fifth of the rows, from 32 to 512.
    epochs : int
        Maximum number of epochs.
    patience : int
        Epochs without a lower loss on the validation rows before training stops; the best weights are kept.
    validation : float
        Share of the training rows, stratified, that only decide when to stop.
    seed : int

    Attributes
    ----------
    classes_ : (k,) any dtype
    weights_ : list of (hidden, d), (hidden,), (k, hidden), (k,) float32
    n_iter_ : int
        Epochs that were trained.
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

    def fit(self, X: Any, y: Any, row_weights: Any = None, groups: Any = None) -> Self:
        """Train on (n, d) features and n labels.

        Parameters
        ----------
        row_weights : (n,) float, optional
            Positive; what the losses are multiplied by, those that decide when to stop, too. Not called
            `sample_weight`, which promises that a weight of 2 gives the model of a row that is there twice: that row
            would fall into other batches.
        groups : (n,) int, optional
            Rows of one group are never both trained on and validated on.

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
        train, val = self._hold_out(codes, groups)
        train_weights = val_weights = None
        if row_weights is not None and np.ptp(row_weights) > 0:
            train_weights, val_weights = np.asarray(row_weights)[train], np.asarray(row_weights)[val]
        training = WeightedRows(X[train], codes[train], normalise(train_weights))
        validation = WeightedRows(X[val], codes[val], normalise(val_weights))
        self.weights_, self.n_iter_ = self._train(training, validation)
        return self

    def _hold_out(
        self, codes: NDArray[np.intp], groups: NDArray[np.intp] | None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Divide the rows into those to train on and those to validate on; too few rows or groups are used for both."""
        rows = np.arange(len(codes))
        if groups is not None:
            try:
                validates = hold_out_groups(codes, groups, self.seed, self.validation)
            except UndividableGroups:
                return rows, rows
            return np.flatnonzero(~validates), np.flatnonzero(validates)
        classes = len(self.classes_)
        count = max(classes, round(self.validation * len(codes)))
        # A stratified split needs two rows of every class, and a row of every class on both sides.
        if np.bincount(codes).min() < 2 or len(codes) - count < classes:
            return rows, rows
        train, val = train_test_split(rows, test_size=count, stratify=codes, random_state=self.seed)
        return train, val

    def _train(self, training: WeightedRows, validation: WeightedRows) -> tuple[Weights, int]:
        random = np.random.default_rng(self.seed)
        weights = draw_weights((training.X.shape[1], self.hidden, len(self.classes_)), random)
        optimizer = AdamW(weights, self.learning_rate, self.weight_decay)
        best = _copy(weights)
        best_loss = np.inf
        best_epoch = 0
        epoch = 0
        with one_thread():
            for epoch in range(1, self.epochs + 1):
                self._train_epoch(optimizer, training, random)
                loss = compute_val_loss(weights, *validation)
                if loss < best_loss:
                    best = _copy(weights)
                    best_loss = loss
                    best_epoch = epoch
                elif epoch - best_epoch >= self.patience:
                    break
        return best, epoch

    def _train_epoch(self, optimizer: AdamW, training: WeightedRows, random: np.random.Generator) -> None:
        X, y, row_weights = training
        batch_size = self.batch_size or min(MAX_BATCH, max(MIN_BATCH, len(X) // BATCHES_PER_EPOCH))
        order = random.permutation(len(X))
        for first in range(0, len(X), batch_size):
            rows = order[first : first + batch_size]
            is_kept = random.random((len(rows), self.hidden), np.float32) >= self.dropout
            # Units that are kept are scaled up, so that prediction needs no scale.
            scale = is_kept * np.float32(1 / (1 - self.dropout))
            batch_weights = None if row_weights is None else row_weights[rows]
            optimizer.step(compute_gradients(optimizer.weights, X[rows], y[rows], scale, batch_weights))

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Compute logits: (n, d) features to (n, k) float32, or (n,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        logits = compute_logits(self.weights_, X)
        if len(self.classes_) == 2:
            return logits[:, 1] - logits[:, 0]
        return logits

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Compute probabilities: (n, d) features to (n, k) float64."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        probabilities: NDArray[np.float64] = softmax(compute_logits(self.weights_, X).astype(np.float64), axis=1)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Choose the most probable class of each row, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def _copy(weights: Weights) -> Weights:
    return [weight.copy() for weight in weights]


def draw_weights(widths: tuple[int, int, int], random: np.random.Generator) -> Weights:
    """Draw weights and biases, uniform within one over the root of the inputs (LeCun et al., 1998)."""
    weights: Weights = []
    for inputs, outputs in pairwise(widths):
        bound = np.float32(1 / np.sqrt(inputs))
        for shape in ((outputs, inputs), (outputs,)):
            weights.append(bound * (2 * random.random(shape, np.float32) - 1))
    return weights


def compute_logits(weights: Weights, X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the network without dropout: (n, d) features to (n, k) logits."""
    weight, bias, weight_out, bias_out = weights
    return np.maximum(X @ weight.T + bias, 0) @ weight_out.T + bias_out


def normalise(row_weights: NDArray[Any] | None) -> NDArray[np.float32] | None:
    """Scale the weights of rows to a mean of 1, (n,): then they leave the size of steps as it is."""
    return None if row_weights is None else (row_weights / row_weights.mean()).astype(np.float32)


def compute_val_loss(
    weights: Weights, X: NDArray[np.float32], y: NDArray[np.intp], row_weights: NDArray[np.float32] | None = None
) -> float:
    """Compute the mean log-loss of rows, without dropout; `row_weights` (n,) have a mean of 1."""
    probabilities = softmax(compute_logits(weights, X), axis=1)
    of_truth = probabilities[np.arange(len(y)), y]
    losses = -np.log(np.maximum(of_truth, MIN_PROBABILITY))
    return float((losses if row_weights is None else row_weights * losses).mean())


def compute_gradients(
    weights: Weights,
    X: NDArray[np.float32],
    y: NDArray[np.intp],
    scale: NDArray[np.float32],
    row_weights: NDArray[np.float32] | None = None,
) -> Weights:
    """Differentiate the mean log-loss of a batch.

    Parameters
    ----------
    weights : list of (hidden, d), (hidden,), (k, hidden), (k,) float32
    X : (n, d) float32
    y : (n,) int
    scale : (n, hidden) float32
        What dropout multiplies each hidden unit by.
    row_weights : (n,) float32, optional
        What each row's loss is multiplied by; the sum is divided by n all the same, so that no batch of many heavy rows
        counts less than others.

    Returns
    -------
    list of float32 arrays, as the weights
    """
    weight, bias, weight_out, bias_out = weights
    hidden = X @ weight.T + bias
    scale = scale * (hidden > 0)
    hidden *= scale
    errors = softmax(hidden @ weight_out.T + bias_out, axis=1)
    errors[np.arange(len(y)), y] -= 1
    errors /= np.float32(len(y))
    if row_weights is not None:
        errors *= row_weights[:, None]
    back = (errors @ weight_out) * scale
    return [back.T @ X, back.sum(axis=0), errors.T @ hidden, errors.sum(axis=0)]
