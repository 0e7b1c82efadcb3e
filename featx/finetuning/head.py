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
    hidden : int
        Width of the fully connected layer.
    dropout : float
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, kind: str, pooled: NDArray[np.float32], classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        scale = pooled.std(axis=0, dtype=np.float64)
        floor = LEAST_SCALE * float(scale.mean()) or 1.0
        self.register_buffer("mean", torch.from_numpy(pooled.mean(axis=0, dtype=np.float64).astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(np.maximum(scale, floor).astype(np.float32)))
        width = pooled.shape[1]
        self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
        if kind == "mlp":
            self.layers = nn.Sequential(
                nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
            )

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (n, d) pooled activations to (n, classes) scores."""
        scaled: Tensor = self.layers((nn.functional.normalize(pooled.float(), dim=1) - self.mean) / self.scale)
        return scaled

    def adopt(
        self,
        mean: NDArray[np.floating[Any]],
        scale: NDArray[np.floating[Any]],
        weights: NDArray[np.floating[Any]],
        intercept: NDArray[np.floating[Any]],
    ) -> None:
        """Take over a linear classifier of the same features: (d,) what to subtract and divide by, (k, d), (k,).

        One row of weights stands for two classes of which the first one scores 0.
        """
        own_mean, own_scale = (getattr(self, name).double().cpu().numpy() for name in ("mean", "scale"))
        intercept = intercept + weights @ ((own_mean - mean) / scale)
        weights = weights * (own_scale / scale)
        if len(weights) == 1:
            weights, intercept = np.concatenate([-weights, weights]) / 2, np.concatenate([-intercept, intercept]) / 2
        (layer,) = (layer for layer in self.layers if isinstance(layer, nn.Linear))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights))
            layer.bias.copy_(torch.from_numpy(intercept))

    def smallness(self) -> float:
        """How small the weights of the output are beside those that torch draws for its width; 1 at most."""
        weights = [layer for layer in self.layers if isinstance(layer, nn.Linear)][-1].weight.detach()
        return min(1.0, float(weights.double().square().mean().mul(3 * weights.shape[1]).sqrt()))

    def arrays(self) -> tuple[str, dict[str, NDArray[Any]]]:
        """Give the head as a kind of classifier of stage two and its arrays (see `ArrayClassifier`)."""
        wide = {name: getattr(self, name).double().cpu().numpy() for name in ("mean", "scale")}
        linear = [
            (layer.weight.detach().cpu().numpy().copy(), layer.bias.detach().cpu().numpy().copy())  # training may go on
            for layer in self.layers
            if isinstance(layer, nn.Linear)
        ]
        weights, intercept = linear[-1]
        if len(linear) == 2:
            wide |= {"hidden_weights": linear[0][0], "hidden_intercept": linear[0][1]}
            return "mlp", wide | {"weights": weights, "intercept": intercept}
        weights, intercept = weights.astype(np.float64), intercept.astype(np.float64)
        if len(weights) == 2:  # of two classes the first one scores 0
            weights, intercept = weights[1:] - weights[:1], intercept[1:] - intercept[:1]
        return "logreg", wide | {"weights": weights, "intercept": intercept}
