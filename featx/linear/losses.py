"""The three losses, each in the form the solver asks for: value, residual and curvature at given scores.

Scores are (k, n): a row a class, a column an image, so that sums over classes and over images are both fast. Each loss
is written to keep its relative accuracy where it is tiny, since C may multiply it by a million.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from featx.linear.lapack import Array, namespace, precision, send
from featx.linear.spaces import Targets

FLOOR = {name: float(np.finfo(name).tiny) ** 0.5 for name in ("float32", "float64")}


class Point(NamedTuple):
    """A loss at given scores.

    Attributes
    ----------
    value : (1, 1) or (k, 1)
        Summed over images, and over classes where the loss couples them.
    residual : (k, n)
        First derivative with respect to the scores.
    memo : (k, n)
        What `curve` needs: probabilities, or second derivatives.
    """

    value: Array
    residual: Array
    memo: Array


class Loss(Protocol):
    """A convex loss of scores."""

    @property
    def coupled(self) -> bool:
        """Whether the classes must be solved for together."""

    def at(self, scores: Array) -> Point:
        """Evaluate at scores (k, n)."""

    def curve(self, point: Point, change: Array) -> Array:
        """Apply the second derivative to a change of the scores, (k, n) -> (k, n)."""

    def bend(self, point: Point) -> Array:
        """Average the second derivative over the images, (k, 1)."""


def inner(a: Array, b: Array, coupled: bool) -> Array:
    """Sum products over coordinates, and over classes where they are coupled: (k, m) twice -> (k, 1) or (1, 1)."""
    if coupled:
        return (a.reshape(-1) @ b.reshape(-1)).reshape(1, 1)
    # Summed in pairs: a running float32 sum over 50,000 images would be too rough for the line search.
    return namespace(a).sum(a * b, axis=1, keepdims=True)


def _log_loss(excess: Array) -> tuple[Array, Array, Array]:
    """Return shift m = max(excess, 0), exp(-m) - 1 and exp(excess - m); no overflow whatever the scores."""
    xp = namespace(excess)
    shift = xp.clip(excess, min=0.0)
    return shift, xp.expm1(-shift), _flush(xp.exp(excess - shift))


def _flush(values: Array) -> Array:
    """Drop probabilities whose products with a step could be denormal: those slow a matrix product down fivefold."""
    return values * (values > FLOOR[precision(values)])


@dataclass(frozen=True)
class Binomial:
    """Logistic loss of one score, log(1 + exp(-y f)) with y = +1 or -1.

    Attributes
    ----------
    signs : (1, n)
    """

    signs: Array
    coupled: bool = True

    def at(self, scores: Array) -> Point:
        """Evaluate at scores (1, n)."""
        xp = namespace(scores)
        shift, rest, power = _log_loss(-self.signs * scores)
        wrong = power / (1.0 + rest + power)
        value = xp.sum(shift + xp.log1p(rest + power), axis=1, keepdims=True)
        return Point(value, -self.signs * wrong, wrong * (1.0 - wrong))

    def curve(self, point: Point, change: Array) -> Array:
        """Apply p (1 - p)."""
        return point.memo * change

    def bend(self, point: Point) -> Array:
        """Average p (1 - p)."""
        return namespace(point.memo).mean(point.memo, axis=1, keepdims=True)


@dataclass(frozen=True)
class Softmax:
    """Multinomial logistic loss, log sum_j exp(f_j - f_y).

    Everything is measured from the score of the image's own class, so that nothing cancels when that class is certain.

    Attributes
    ----------
    codes, columns : (n,) int64
        The own class of each image; 0, 1, ..., n - 1.
    """

    codes: Array
    columns: Array
    coupled: bool = True

    def at(self, scores: Array) -> Point:
        """Evaluate at scores (k, n)."""
        xp = namespace(scores)
        excess = scores - scores[self.codes, self.columns]
        shift = xp.amax(excess, axis=0)
        power = _flush(xp.exp(excess - shift))
        power[self.codes, self.columns] = 0.0
        others = xp.sum(power, axis=0)
        rest = xp.expm1(-shift)
        total = 1.0 + rest + others
        residual = power / total
        memo = residual + 0.0
        residual[self.codes, self.columns] = -others / total
        memo[self.codes, self.columns] = (1.0 + rest) / total
        return Point(xp.sum(shift + xp.log1p(rest + others))[None, None], residual, memo)

    def curve(self, point: Point, change: Array) -> Array:
        """Apply diag(p) - p p^T, to which a common shift of all classes makes no difference."""
        xp = namespace(change)
        relative = change - change[self.codes, self.columns]
        relative = relative - xp.einsum("kn,kn->n", point.memo, relative)
        return point.memo * relative

    def bend(self, point: Point) -> Array:
        """Average p (1 - p); 1 - p is taken from the residual where p is that of the own class."""
        xp = namespace(point.memo)
        away = xp.where(point.residual < 0, -point.residual, 1.0 - point.memo)
        return xp.mean(point.memo * away, axis=1, keepdims=True)


@dataclass(frozen=True)
class SquaredHinge:
    """Squared hinge, max(0, 1 - y f)^2, one class against the rest.

    Attributes
    ----------
    signs : (k, n)
        +1 for the class of the image, -1 elsewhere.
    """

    signs: Array
    coupled: bool = False

    def at(self, scores: Array) -> Point:
        """Evaluate at scores (k, n)."""
        xp = namespace(scores)
        short = xp.clip(1.0 - self.signs * scores, min=0.0)
        memo = xp.asarray(short > 0, dtype=scores.dtype)
        return Point(inner(short, short, coupled=False), -2.0 * self.signs * short, memo + memo)

    def curve(self, point: Point, change: Array) -> Array:
        """Apply the generalised second derivative: 2 inside the margin, else 0."""
        return point.memo * change

    def bend(self, point: Point) -> Array:
        """Average it."""
        return namespace(point.memo).mean(point.memo, axis=1, keepdims=True)


def logistic_loss(targets: Targets, like: Array) -> Loss:
    """Choose the logistic loss for the labels, in the module, place and precision of `like`."""
    dtype = precision(like)
    if len(targets.classes) == 2:
        return Binomial(targets.signs(like, dtype))
    codes = send(targets.codes, like, "int64")
    return Softmax(codes, namespace(like).arange(len(targets.codes), device=like.device))


def hinge_loss(targets: Targets, like: Array) -> Loss:
    """Build the squared hinge for the labels, in the module, place and precision of `like`."""
    return SquaredHinge(targets.signs(like, precision(like)))
