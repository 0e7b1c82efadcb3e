"""A small multi-layer perceptron as a scikit-learn estimator, trained by torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


@contextmanager
def few_threads(numbers: int) -> Iterator[None]:
    """Use one thread where a batch holds so few numbers that threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before if numbers > 2**19 else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
    ) -> tuple[list[NDArray[np.float32]], int]:
        import torch
        from torch import nn

        batch_size = self.batch_size or min(512, max(32, len(X) // 5))
        generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]), few_threads(batch_size * X.shape[1]):
            torch.manual_seed(self.seed)
            network = nn.Sequential(
                nn.Linear(X.shape[1], self.hidden),
                nn.ReLU(),
                nn.Dropout(self.dropout),
                nn.Linear(self.hidden, len(self.classes_)),
            )
            optimizer = torch.optim.AdamW(network.parameters(), self.learning_rate, weight_decay=self.weight_decay)
            x, codes = torch.from_numpy(X), torch.from_numpy(y)
            x_val, codes_val = torch.from_numpy(X_val), torch.from_numpy(y_val)
            best, best_loss, best_epoch, epoch = [p.detach().clone() for p in network.parameters()], np.inf, 0, 0
            for epoch in range(1, self.epochs + 1):
                network.train()
                for rows in torch.randperm(len(x), generator=generator).split(batch_size):
                    loss = nn.functional.cross_entropy(network(x[rows]), codes[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                network.eval()
                with torch.inference_mode():
                    held_loss = float(nn.functional.cross_entropy(network(x_val), codes_val))
                if held_loss < best_loss:
                    best, best_loss, best_epoch = [p.detach().clone() for p in network.parameters()], held_loss, epoch
                elif epoch - best_epoch >= self.patience:
                    break
        return [p.numpy() for p in best], epoch

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Give logits: (n, d) features to (n, classes) float32, or (n,) for two classes."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def _logits(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        weight, bias, weight_out, bias_out = self.weights_
        return np.maximum(X @ weight.T + bias, 0) @ weight_out.T + bias_out

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Give probabilities: (n, d) features to (n, classes) float64."""
        check_is_fitted(self)
        logits = self._logits(validate_data(self, X, dtype=np.float32, reset=False)).astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """Give the most probable class of each row."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]
