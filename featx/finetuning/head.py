"""The head: the layers that fine-tuning puts on a base."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

HEAD_KINDS = ("mlp", "linear")
"""Names of heads (`--head`): a fully connected layer, ReLU, dropout and an output layer; or the output layer alone."""

LEAST_SCALE = 0.1
"""A column is divided by at least this share of the mean deviation: one that hardly varied must not explode later."""


class Head(nn.Module):
    """What is put on a pooled activation: unit length, standardisation, then the layers that learn.

    Parameters
    ----------
    kind : str
        One of `HEAD_KINDS`.
    pooled : (n, d) float32
        Features of the frozen base, of unit length: standardisation is fitted on them, once and for all.
    classes : int
        How many there are.
    hidden : int
        Width of the fully connected layer.
    dropout : float
        Share of the output layer's inputs that is left out in training.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, kind: str, pooled: NDArray[np.float32], classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        mean = pooled.mean(axis=0, dtype=np.float64)
        scale = pooled.std(axis=0, dtype=np.float64)
        # Columns that never vary at all are divided by 1.
        least = LEAST_SCALE * float(scale.mean()) or 1.0
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(np.maximum(scale, least).astype(np.float32)))
        width = pooled.shape[1]
        # Drawn for either kind, so that a seed goes on giving the weights that it always gave.
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
        if kind == "mlp":
            self.layers = nn.Sequential(
                nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
            )

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (n, d) pooled activations to (n, classes) scores."""
        # Under autocast activations are in half precision, where a sum of squares may overflow.
        unit = nn.functional.normalize(pooled.float(), dim=1)
        scores: Tensor = self.layers((unit - self.mean) / self.scale)
        return scores

    @property
    def linear_layers(self) -> list[nn.Linear]:
        """The layers with weights; the last one is the output layer."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give mean and scale of the columns: (d,) each."""
        return self.mean.double().cpu().numpy(), self.scale.double().cpu().numpy()

    def init_from_linear(
        self,
        mean: NDArray[np.floating[Any]],
        scale: NDArray[np.floating[Any]],
        weights: NDArray[np.floating[Any]],
        intercept: NDArray[np.floating[Any]],
    ) -> None:
        """Set the weights of a linear head so that it scores as a linear classifier of the same features does.

        Parameters
        ----------
        mean, scale : (d,) float
            What the classifier subtracts from the columns, and divides them by.
        weights : (k, d) float
            One row stands for two classes of which the first one scores 0.
        intercept : (k,) float
        """
        head_mean, head_scale = self.standardisation()
        intercept = intercept + weights @ ((head_mean - mean) / scale)
        weights = weights * (head_scale / scale)
        if len(weights) == 1:
            weights = np.concatenate([-weights, weights]) / 2
            intercept = np.concatenate([-intercept, intercept]) / 2
        (layer,) = self.linear_layers
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights))
            layer.bias.copy_(torch.from_numpy(intercept))

    def weight_scale_ratio(self) -> float:
        """Give the scale of the output layer's weights relative to that of freshly initialised ones; 1 at most.

        torch draws the weights of a linear layer of width d uniformly from -1 / sqrt(d) to 1 / sqrt(d): their variance
        is 1 / (3 d).
        """
        weights = self.linear_layers[-1].weight.detach()
        mean_square = weights.double().square().mean()
        return min(1.0, float(mean_square.mul(3 * weights.shape[1]).sqrt()))

    def arrays(self) -> tuple[str, dict[str, NDArray[Any]]]:
        """Give the head as a kind of classifier and its arrays (see `ArrayClassifier`)."""
        mean, scale = self.standardisation()
        arrays: dict[str, NDArray[Any]] = {"mean": mean, "scale": scale}
        weights, intercept = copy_layer(self.linear_layers[-1])
        if len(self.linear_layers) == 2:
            hidden_weights, hidden_intercept = copy_layer(self.linear_layers[0])
            arrays |= {"hidden_weights": hidden_weights, "hidden_intercept": hidden_intercept}
            return "mlp", arrays | {"weights": weights, "intercept": intercept}
        weights = weights.astype(np.float64)
        intercept = intercept.astype(np.float64)
        if len(weights) == 2:
            # A logistic regression of two classes has one row: the first class scores 0.
            weights = weights[1:] - weights[:1]
            intercept = intercept[1:] - intercept[:1]
        return "logreg", arrays | {"weights": weights, "intercept": intercept}


def copy_layer(layer: nn.Linear) -> tuple[NDArray[Any], NDArray[Any]]:
    """Copy weights and bias of a layer, since training may go on in place."""
    return layer.weight.detach().cpu().numpy().copy(), layer.bias.detach().cpu().numpy().copy()
