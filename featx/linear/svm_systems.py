"""The two linear systems that give a Newton step of the squared-hinge SVM: one weight a row, or one a coordinate.

Both are given the set S of rows inside the margin, and N, the rows outside; I is the identity, y the signs, +1 or -1.

- Kernel: scores f = K b, K the inner products of the rows plus 1 (the penalised intercept); b is zero outside S and
  solves (K + I / 2C)_SS b_S = y_S (Chapelle 2007, "Training a support vector machine in the primal", section 3).
  Where S holds more than half of the rows, the same b follows from the inverse A = (K + I / 2C)^-1, which all classes
  share:  b = A (y + m), m zero on S, A_NN m_N = -(A y)_N. So no more than half of the rows are ever factorised.
- Primal: scores f = z w, and (I / 2C + z_S^T z_S) w = z_S^T y_S, where z_S^T z_S = z^T z - z_N^T z_N, the first term
  the same for all classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from featx.linear.lapack import Array, cast, namespace, solve_positive, to_numpy
from featx.linear.spaces import Space


class Spot(NamedTuple):
    """Weights of one class (m,), or of all (k, m), and the scores they give, (n,) or (k, n)."""

    weights: Array
    scores: Array


class System(Protocol):
    """What the solver asks of either."""

    @property
    def ridge(self) -> float:
        """1 / 2C."""

    @property
    def condition(self) -> float:
        """Condition number with all rows inside the margin."""

    def at(self, c: float, dtype: str) -> System:
        """Return the same system for another C, as the dtype of that name."""

    def nothing(self, classes: int) -> Array:
        """Return zeros to start from, (k, m)."""

    def spot(self, weights: Array) -> Spot:
        """Compute the scores of weights (k, m)."""

    def energy(self, a: Spot, b: Spot) -> Array:
        """Multiply two models as vectors of primal weights; twice the penalty where they are one."""

    def residual(self, weights: Array, pull: Array) -> Spot:
        """Return the gradient of the objective as a model, with pull (k, n) = 2 C y max(0, 1 - y f)."""

    def newton(self, sign: Array, inside: Array) -> Spot | None:
        """Solve for the model that is optimal if S stays as it is; None where rounding spoils the factorisation."""

    def to_coordinates(self, weights: Array) -> Array:
        """Express weights (k, m) on coordinates, intercept last: (k, r + 1)."""


@dataclass(frozen=True)
class Kernel:
    """One weight a row.

    Attributes
    ----------
    products : (n, n) float32 or float64
        Inner products of the centred rows, plus 1.
    vectors, values : (n, n) and (n,) same dtype
        Its eigenvectors and eigenvalues.
    z : (n, n) float64
        The rows in coordinates, with a last column of ones.
    ridge : float
    """

    products: Array
    vectors: Array
    values: Array
    z: Array
    ridge: float

    @cached_property
    def inverse(self) -> Array:
        """(K + I / 2C)^-1, (n, n)."""
        # Written as a square, which takes half the multiplications.
        half = self.vectors / namespace(self.values).sqrt(self.values + self.ridge)
        return half @ half.T

    @property
    def condition(self) -> float:
        """Condition number of K + I / 2C."""
        return float((self.values.max() + self.ridge) / (self.values.min() + self.ridge))

    def at(self, c: float, dtype: str) -> Kernel:
        """Return the same system for another C, as the dtype of that name."""
        products, vectors, values = (cast(array, dtype) for array in (self.products, self.vectors, self.values))
        return Kernel(products, vectors, values, self.z, 1.0 / (2.0 * c))

    def nothing(self, classes: int) -> Array:
        """Return zeros to start from, (k, n)."""
        return _zeros(self.products, classes)

    def spot(self, weights: Array) -> Spot:
        """Compute the scores of weights (k, n)."""
        return Spot(weights, weights @ self.products)

    def energy(self, a: Spot, b: Spot) -> Array:
        """Return b K b."""
        return (a.weights * b.scores).sum(axis=-1)

    def residual(self, weights: Array, pull: Array) -> Spot:
        """Return b - 2 C y max(0, 1 - y f)."""
        return self.spot(weights - pull)

    def newton(self, sign: Array, inside: Array) -> Spot | None:
        """Factorise the rows inside the margin, or those outside where they are fewer."""
        support, rest = np.flatnonzero(to_numpy(inside)), np.flatnonzero(~to_numpy(inside))
        return self._from_support(sign, support) if len(support) <= len(rest) else self._from_rest(sign, rest)

    def to_coordinates(self, weights: Array) -> Array:
        """Sum the rows by their weights."""
        return weights @ self.z

    def _from_support(self, sign: Array, support: Array) -> Spot | None:
        rows = self.products[support]
        part = solve_positive(rows[:, support] + self.ridge * _identity(rows, len(support)), sign[support])
        if part is None:
            return None
        weights = namespace(sign).zeros_like(sign)
        weights[support] = part
        return Spot(weights, part @ rows)

    def _from_rest(self, sign: Array, rest: Array) -> Spot | None:
        # A y from the few rows of the class itself, since A 1 = 1 / (n + ridge): y is 2 there and -1 everywhere.
        free = 2.0 * self.inverse[sign > 0].sum(axis=0) - 1.0 / (len(sign) + self.ridge)
        rows = self.inverse[rest]
        push = solve_positive(rows[:, rest], -free[rest])
        if push is None:
            return None
        weights = free + push @ rows
        weights[rest] = 0.0
        # K b = (K + ridge) b - ridge b, and the first term is y + m by construction.
        scores = sign - self.ridge * weights
        scores[rest] += push
        return Spot(weights, scores)


@dataclass(frozen=True)
class Primal:
    """One weight a coordinate.

    Attributes
    ----------
    z : (n, r + 1) float32 or float64
        The rows in coordinates, with a last column of ones.
    moments : (r + 1, r + 1) same dtype
        `z.T @ z`.
    squares : (r + 1,) same dtype
        Its diagonal, off which it is nearly zero.
    ridge : float
    """

    z: Array
    moments: Array
    squares: Array
    ridge: float

    @property
    def condition(self) -> float:
        """Condition number of z^T z + I / 2C, nearly."""
        return float((self.squares.max() + self.ridge) / (self.squares.min() + self.ridge))

    def at(self, c: float, dtype: str) -> Primal:
        """Return the same system for another C, as the dtype of that name."""
        z, moments, squares = (cast(array, dtype) for array in (self.z, self.moments, self.squares))
        return Primal(z, moments, squares, 1.0 / (2.0 * c))

    def nothing(self, classes: int) -> Array:
        """Return zeros to start from, (k, r + 1)."""
        return _zeros(self.z, classes)

    def spot(self, weights: Array) -> Spot:
        """Compute the scores of weights (k, r + 1)."""
        return Spot(weights, weights @ self.z.T)

    def energy(self, a: Spot, b: Spot) -> Array:
        """Return w w."""
        return (a.weights * b.weights).sum(axis=-1)

    def residual(self, weights: Array, pull: Array) -> Spot:
        """Return w - 2 C z^T (y max(0, 1 - y f)); its scores are not needed."""
        return Spot(weights - pull @ self.z, pull)

    def newton(self, sign: Array, inside: Array) -> Spot | None:
        """Sum the rows inside the margin, or subtract those outside where they are fewer."""
        support, rest = np.flatnonzero(to_numpy(inside)), np.flatnonzero(~to_numpy(inside))
        few = self.z[support if len(support) <= len(rest) else rest]
        moments = few.T @ few if len(support) <= len(rest) else self.moments - few.T @ few
        moments += self.ridge * _identity(moments, len(moments))
        weights = solve_positive(moments, (sign * inside) @ self.z)
        return None if weights is None else Spot(weights, self.z @ weights)

    def to_coordinates(self, weights: Array) -> Array:
        """Return them as they are."""
        return weights


def _identity(like: Array, size: int) -> Array:
    return namespace(like).eye(size, dtype=like.dtype, device=like.device)


def _zeros(like: Array, rows: int) -> Array:
    return namespace(like).zeros((rows, like.shape[1]), dtype=like.dtype, device=like.device)


def system_of(space: Space) -> System:
    """Build the system in float64, for C = 1: a kernel in a row space, else primal."""
    xp = namespace(space.coordinates)
    z = cast(space.coordinates, "float64")
    z = xp.concatenate([z, xp.ones_like(z[:, :1])], axis=1)
    # The intercept's column of ones is orthogonal to all others, and its square is n.
    squares = xp.concatenate([cast(space.squares, "float64"), xp.full_like(z[0, :1], len(z))])
    if space.gram is None:
        return Primal(z, z.T @ z, squares, 0.5)
    return Kernel(space.gram + 1.0, space.vectors, squares, z, 0.5)
