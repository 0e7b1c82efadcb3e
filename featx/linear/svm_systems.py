"""The two linear systems that give a Newton step of the squared-hinge SVM: one weight a row, or one a coordinate.

Both are given the set S of rows inside the margin, and N, the rows outside; I is the identity, y the signs, +1 or -1,
and D holds the weights of the losses, all 1 where rows are not weighted.

- Kernel: scores f = K b, K the inner products of the rows plus 1 (the penalised intercept); b is zero outside S and
  solves (K + D^-1 / 2C)_SS b_S = y_S (Chapelle 2007, "Training a support vector machine in the primal", section 3).
  Where S holds more than half of the rows, the same b follows from the inverse A = (K + D^-1 / 2C)^-1, which all
  classes share:  b = A (y + m), m zero on S, A_NN m_N = -(A y)_N. So no more than half of the rows are ever factorised.
- Primal: scores f = z w, and (I / 2C + z_S^T D z_S) w = z_S^T D y_S, where z_S^T D z_S = z^T D z - z_N^T D z_N, the
  first term the same for all classes.

Where classes have weights D differs from class to class, so that nothing is shared and S is factorised however large.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from featx.linear.lapack import Array, cast, namespace, solve_positive_definite, to_numpy
from featx.linear.spaces import Space


class Point(NamedTuple):
    """Weights of one class (m,), or of all (k, m), and the scores that they give, (n,) or (k, n)."""

    weights: Array
    scores: Array


class System(Protocol):
    """What the solver asks of either system."""

    @property
    def ridge(self) -> float:
        """1 / 2C."""

    @property
    def condition_number(self) -> float:
        """Condition number with all rows inside the margin."""

    def with_c(self, c: float, dtype: str) -> System:
        """Return the same system for another C, as the dtype of that name."""

    def zeros(self, classes: int) -> Array:
        """Return zeros to start from, (k, m)."""

    def point_at(self, weights: Array) -> Point:
        """Compute the scores of weights (k, m)."""

    def inner(self, a: Point, b: Point) -> Array:
        """Multiply two models as vectors of primal weights; of a model with itself, this is twice the penalty."""

    def gradient(self, weights: Array, residual: Array) -> Point:
        """Return the gradient of the objective as a model, with residual (k, n) = 2 C y max(0, 1 - y f)."""

    def solve_newton(self, sign: Array, inside: Array, weights: Array | None = None) -> Point | None:
        """Solve for the model that is optimal if S stays as it is; None where rounding spoils the factorisation.

        Parameters
        ----------
        sign : (n,)
        inside : (n,) bool
            The rows in S.
        weights : (n,) or None
            What the losses of this class are multiplied by.
        """

    def to_coordinates(self, weights: Array) -> Array:
        """Express weights (k, m) on coordinates, intercept last: (k, r + 1)."""


@dataclass(frozen=True)
class Kernel:
    """One weight a row.

    Attributes
    ----------
    products : (n, n) float32 or float64
        Inner products of the centred rows, plus 1.
    vectors : (n, n) same dtype
        Its eigenvectors, one a column.
    values : (n,) same dtype
        Its eigenvalues.
    z : (n, n) float64
        The rows in coordinates, with a last column of ones.
    ridge : float
    row_weights : (n,) same dtype, or None
        How often each row counts; vectors and values are then those of the products of rows times the roots of these.
    shares_weights : bool
        Whether the losses of all classes are weighed by these alone.
    """

    products: Array
    vectors: Array
    values: Array
    z: Array
    ridge: float
    row_weights: Array | None = None
    shares_weights: bool = True

    @cached_property
    def inverse(self) -> Array:
        """(K + D^-1 / 2C)^-1, (n, n)."""
        xp = namespace(self.values)
        # Written as a square, which takes half the multiplications.
        half = self.vectors / xp.sqrt(self.values + self.ridge)
        if self.row_weights is not None:
            half = half * xp.sqrt(self.row_weights)[:, None]
        return half @ half.T

    @property
    def condition_number(self) -> float:
        """Condition number of K + I / 2C, K weighted."""
        return float((self.values.max() + self.ridge) / (self.values.min() + self.ridge))

    def with_c(self, c: float, dtype: str) -> Kernel:
        """Return the same system for another C, as the dtype of that name."""
        return Kernel(
            products=cast(self.products, dtype),
            vectors=cast(self.vectors, dtype),
            values=cast(self.values, dtype),
            z=self.z,
            ridge=1.0 / (2.0 * c),
            row_weights=None if self.row_weights is None else cast(self.row_weights, dtype),
            shares_weights=self.shares_weights,
        )

    def zeros(self, classes: int) -> Array:
        """Return zeros to start from, (k, n)."""
        return _zeros(self.products, classes)

    def point_at(self, weights: Array) -> Point:
        """Compute the scores of weights (k, n)."""
        return Point(weights, weights @ self.products)

    def inner(self, a: Point, b: Point) -> Array:
        """Compute a K b."""
        return (a.weights * b.scores).sum(axis=-1)

    def gradient(self, weights: Array, residual: Array) -> Point:
        """Compute b - 2 C y max(0, 1 - y f)."""
        return self.point_at(weights - residual)

    def solve_newton(self, sign: Array, inside: Array, weights: Array | None = None) -> Point | None:
        """Factorise the rows inside the margin, or those outside where they are fewer."""
        is_inside = to_numpy(inside)
        support = np.flatnonzero(is_inside)
        rest = np.flatnonzero(~is_inside)
        if len(support) <= len(rest) or not self.shares_weights:
            return self._solve_support(sign, support, weights)
        return self._solve_rest(sign, rest)

    def to_coordinates(self, weights: Array) -> Array:
        """Sum the rows by their weights."""
        return weights @ self.z

    def _solve_support(self, sign: Array, support: Array, loss_weights: Array | None) -> Point | None:
        rows = self.products[support]
        ridges = self.ridge * _identity(rows, len(support))
        if loss_weights is not None:
            ridges = ridges / loss_weights[support]
        matrix = rows[:, support] + ridges
        support_weights = solve_positive_definite(matrix, sign[support])
        if support_weights is None:
            return None
        weights = namespace(sign).zeros_like(sign)
        weights[support] = support_weights
        return Point(weights, support_weights @ rows)

    def _solve_rest(self, sign: Array, rest: Array) -> Point | None:
        # A y from the few rows of the class itself, since A 1 = 1 / (n + ridge): y is 2 there and -1 everywhere.
        # Of weighted rows A 1 = d / (sum d + ridge), d the diagonal of D.
        counts = 1.0 if self.row_weights is None else self.row_weights
        total = len(sign) if self.row_weights is None else float(self.row_weights.sum())
        unconstrained = 2.0 * self.inverse[sign > 0].sum(axis=0) - counts / (total + self.ridge)
        rows = self.inverse[rest]
        multipliers = solve_positive_definite(rows[:, rest], -unconstrained[rest])
        if multipliers is None:
            return None
        weights = unconstrained + multipliers @ rows
        weights[rest] = 0.0
        # K b = (K + ridge) b - ridge b, and the first term is y + m by construction.
        scores = sign - self.ridge * weights / counts
        scores[rest] += multipliers
        return Point(weights, scores)


@dataclass(frozen=True)
class Primal:
    """One weight a coordinate.

    Attributes
    ----------
    z : (n, r + 1) float32 or float64
        The rows in coordinates, with a last column of ones.
    moments : (r + 1, r + 1) same dtype
        `z.T @ z`, each row as often as it counts.
    squares : (r + 1,) same dtype
        Its diagonal, off which it is nearly zero.
    ridge : float
    shares_weights : bool
        Whether the losses of all classes are weighed by how often rows count alone.
    """

    z: Array
    moments: Array
    squares: Array
    ridge: float
    shares_weights: bool = True

    @property
    def condition_number(self) -> float:
        """Condition number of z^T z + I / 2C, nearly."""
        return float((self.squares.max() + self.ridge) / (self.squares.min() + self.ridge))

    def with_c(self, c: float, dtype: str) -> Primal:
        """Return the same system for another C, as the dtype of that name."""
        return Primal(
            z=cast(self.z, dtype),
            moments=cast(self.moments, dtype),
            squares=cast(self.squares, dtype),
            ridge=1.0 / (2.0 * c),
            shares_weights=self.shares_weights,
        )

    def zeros(self, classes: int) -> Array:
        """Return zeros to start from, (k, r + 1)."""
        return _zeros(self.z, classes)

    def point_at(self, weights: Array) -> Point:
        """Compute the scores of weights (k, r + 1)."""
        return Point(weights, weights @ self.z.T)

    def inner(self, a: Point, b: Point) -> Array:
        """Compute the sum of a w."""
        return (a.weights * b.weights).sum(axis=-1)

    def gradient(self, weights: Array, residual: Array) -> Point:
        """Compute w - 2 C z^T (y max(0, 1 - y f)); its scores are not needed, so the residual stands for them."""
        return Point(weights - residual @ self.z, residual)

    def solve_newton(self, sign: Array, inside: Array, weights: Array | None = None) -> Point | None:
        """Sum the rows inside the margin, or subtract those outside where they are fewer."""
        is_inside = to_numpy(inside)
        support = np.flatnonzero(is_inside)
        rest = np.flatnonzero(~is_inside)
        if len(support) <= len(rest) or not self.shares_weights:
            moments = self._sum_products(support, weights)
        else:
            moments = self.moments - self._sum_products(rest, weights)
        moments += self.ridge * _identity(moments, len(moments))
        pull = sign * inside if weights is None else sign * inside * weights
        solution = solve_positive_definite(moments, pull @ self.z)
        if solution is None:
            return None
        return Point(solution, self.z @ solution)

    def _sum_products(self, places: Array, loss_weights: Array | None) -> Array:
        """Sum the products of some rows with themselves, weighed: (r + 1, r + 1)."""
        rows = self.z[places]
        if loss_weights is None:
            return rows.T @ rows
        return rows.T @ (loss_weights[places][:, None] * rows)

    def to_coordinates(self, weights: Array) -> Array:
        """Return the weights as they are."""
        return weights


def _identity(like: Array, size: int) -> Array:
    return namespace(like).eye(size, dtype=like.dtype, device=like.device)


def _zeros(like: Array, rows: int) -> Array:
    return namespace(like).zeros((rows, like.shape[1]), dtype=like.dtype, device=like.device)


def build_system(space: Space, shares_weights: bool = True) -> System:
    """Build the system in float64, for C = 1: a kernel in a row space, else primal.

    Parameters
    ----------
    space : Space
    shares_weights : bool
        Whether the losses of all classes are weighed by how often rows count alone; False where classes have weights.
    """
    z, squares = space.with_intercept("float64")
    if space.gram is None:
        counted = z if space.weights is None else space.weights[:, None] * z
        return Primal(z, z.T @ counted, squares, 0.5, shares_weights)
    return Kernel(space.gram + 1.0, space.vectors, squares, z, 0.5, space.weights, shares_weights)
