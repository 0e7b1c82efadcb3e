"""The three losses, each in the form the solver asks for: value, residual and curvature at given scores.

Scores are (k, n): a row a class, a column an image, so that sums over classes and over images are both fast. Each loss
is written to keep its relative accuracy where it is tiny, since C may multiply it by a million.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from featx.linear.lapack import Array, dtype_name, namespace, send_like
from featx.linear.spaces import Targets

# Smaller probabilities count as zero: their products with a step of a similar size would be denormal.
SMALLEST_PROBABILITY = {name: float(np.finfo(name).tiny) ** 0.5 for name in ("float32", "float64")}


class LossPoint(NamedTuple):
    """A loss at given scores.

    Attributes
    ----------
    value : (1, 1) or (k, 1)
        Summed over images, and over classes where the loss couples them.
    residual : (k, n)
        First derivative with respect to the scores.
    curvature : (k, n)
        What the second derivative is made from: probabilities (softmax), or its diagonal (the other two).
    """

    value: Array
    residual: Array
    curvature: Array


class Loss(Protocol):
    """A convex loss of scores."""

    @property
    def coupled(self) -> bool:
        """Whether the classes must be solved for together."""

    def evaluate(self, scores: Array) -> LossPoint:
        """Evaluate at scores (k, n)."""

    def hessian_product(self, point: LossPoint, change: Array) -> Array:
        """Apply the second derivative to a change of the scores, (k, n) -> (k, n)."""

    def mean_curvature(self, point: LossPoint) -> Array:
        """Average the diagonal of the second derivative over the images, (k, 1)."""


def inner(a: Array, b: Array, coupled: bool) -> Array:
    """Sum products over coordinates, and over classes where they are coupled: (k, m) twice -> (k, 1) or (1, 1)."""
    if coupled:
        return (a.reshape(-1) @ b.reshape(-1)).reshape(1, 1)
    # Summed in pairs: a running float32 sum over 50,000 images would be too rough for the line search.
    return namespace(a).sum(a * b, axis=1, keepdims=True)


@dataclass(frozen=True)
class LossWeights:
    """What the losses of images are multiplied by.

    Attributes
    ----------
    values : (n,) or (k, n)
        Positive.
    count : float
        How many images there are, each counted by its weight, that of its class left out.
    """

    values: Array
    count: float


def weigh(losses: Array, weights: LossWeights | None) -> Array:
    """Multiply losses, or derivatives of them, by their weights: (k, n), or (n,) where the classes share a loss."""
    return losses if weights is None else weights.values * losses


def average_curvature(curvature: Array, weights: LossWeights | None) -> Array:
    """Average curvatures (k, n) that are weighed already over the images, (k, 1)."""
    xp = namespace(curvature)
    if weights is None:
        return xp.mean(curvature, axis=1, keepdims=True)
    return xp.sum(curvature, axis=1, keepdims=True) / weights.count


def _drop_denormal(probabilities: Array) -> Array:
    # Denormal numbers slow a matrix product down fivefold.
    return probabilities * (probabilities > SMALLEST_PROBABILITY[dtype_name(probabilities)])


@dataclass(frozen=True)
class Binomial:
    """Logistic loss of one score, log(1 + exp(-y f)) with y = +1 or -1.

    Attributes
    ----------
    signs : (1, n)
    weights : LossWeights or None
    """

    signs: Array
    weights: LossWeights | None = None
    coupled: bool = True

    def evaluate(self, scores: Array) -> LossPoint:
        """Evaluate at scores (1, n)."""
        xp = namespace(scores)
        excess = -self.signs * scores
        # log(1 + exp(excess)) with the larger exponent taken out: no overflow, whatever the scores.
        shift = xp.clip(excess, min=0.0)
        rest = xp.expm1(-shift)
        power = _drop_denormal(xp.exp(excess - shift))
        wrong = power / (1.0 + rest + power)
        value = xp.sum(weigh(shift + xp.log1p(rest + power), self.weights), axis=1, keepdims=True)
        residual = weigh(-self.signs * wrong, self.weights)
        return LossPoint(value, residual, weigh(wrong * (1.0 - wrong), self.weights))

    def hessian_product(self, point: LossPoint, change: Array) -> Array:
        """Multiply by p (1 - p)."""
        return point.curvature * change

    def mean_curvature(self, point: LossPoint) -> Array:
        """Average p (1 - p)."""
        return average_curvature(point.curvature, self.weights)


@dataclass(frozen=True)
class Softmax:
    """Multinomial logistic loss, log sum_j exp(f_j - f_y).

    Everything is measured from the score of the true class, so that nothing cancels when that class is certain.

    Attributes
    ----------
    codes : (n,) int64
        True class of each image.
    columns : (n,) int64
        0, 1, ..., n - 1.
    weights : LossWeights or None
    """

    codes: Array
    columns: Array
    weights: LossWeights | None = None
    coupled: bool = True

    def evaluate(self, scores: Array) -> LossPoint:
        """Evaluate at scores (k, n)."""
        xp = namespace(scores)
        excess = scores - scores[self.codes, self.columns]
        shift = xp.amax(excess, axis=0)
        power = _drop_denormal(xp.exp(excess - shift))
        power[self.codes, self.columns] = 0.0
        others = xp.sum(power, axis=0)
        rest = xp.expm1(-shift)
        total = 1.0 + rest + others
        residual = power / total
        probabilities = residual + 0.0
        residual[self.codes, self.columns] = -others / total
        probabilities[self.codes, self.columns] = (1.0 + rest) / total
        value = xp.sum(weigh(shift + xp.log1p(rest + others), self.weights))[None, None]
        return LossPoint(value, weigh(residual, self.weights), probabilities)

    def hessian_product(self, point: LossPoint, change: Array) -> Array:
        """Apply diag(p) - p p^T, to which a common shift of all classes makes no difference."""
        xp = namespace(change)
        relative = change - change[self.codes, self.columns]
        relative = relative - xp.einsum("kn,kn->n", point.curvature, relative)
        return weigh(point.curvature * relative, self.weights)

    def mean_curvature(self, point: LossPoint) -> Array:
        """Average p (1 - p)."""
        xp = namespace(point.curvature)
        residual = point.residual if self.weights is None else point.residual / self.weights.values
        # The residual of the true class is p - 1, exact even where p rounds to 1.
        complement = xp.where(residual < 0, -residual, 1.0 - point.curvature)
        return average_curvature(weigh(point.curvature * complement, self.weights), self.weights)


@dataclass(frozen=True)
class SquaredHinge:
    """Squared hinge, max(0, 1 - y f)^2, one class against the rest.

    Attributes
    ----------
    signs : (k, n)
        +1 for the class of the image, -1 elsewhere.
    weights : LossWeights or None
    """

    signs: Array
    weights: LossWeights | None = None
    coupled: bool = False

    def evaluate(self, scores: Array) -> LossPoint:
        """Evaluate at scores (k, n)."""
        xp = namespace(scores)
        shortfall = xp.clip(1.0 - self.signs * scores, min=0.0)
        inside = xp.asarray(shortfall > 0, dtype=scores.dtype)
        weighed = weigh(shortfall, self.weights)
        value = inner(shortfall, weighed, coupled=False)
        return LossPoint(value, -2.0 * self.signs * weighed, weigh(inside + inside, self.weights))

    def hessian_product(self, point: LossPoint, change: Array) -> Array:
        """Apply the generalised second derivative: 2 inside the margin, else 0."""
        return point.curvature * change

    def mean_curvature(self, point: LossPoint) -> Array:
        """Average it over the images."""
        return average_curvature(point.curvature, self.weights)


def build_loss(kind: str, targets: Targets, like: Array) -> Loss:
    """Build the loss of a classifier for its labels.

    Parameters
    ----------
    kind : str
        "logreg" or "svm".
    targets : Targets
    like : array
        Its module, device and dtype are those of the loss.
    """
    dtype = dtype_name(like)
    values = targets.loss_weights(kind)
    weights = None if values is None else LossWeights(send_like(values, like, dtype), targets.count)
    if kind == "svm":
        return SquaredHinge(targets.signs(like, dtype), weights)
    if len(targets.classes) == 2:
        return Binomial(targets.signs(like, dtype), weights)
    codes = send_like(targets.codes, like, "int64")
    columns = namespace(like).arange(len(targets.codes), device=like.device)
    return Softmax(codes, columns, weights)
