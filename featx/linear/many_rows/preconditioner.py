"""What stands for the Hessian between the steps of conjugate gradients: curvature averaged over the rows.

Of the SVM it may be the second moments of some rows inside the margin, class by class. They are dear, and known as good
for the next steps and for the next C, since these rows change little there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from featx.linear.lapack import ROUNDING, Array, decompose_symmetric, map_threads, namespace
from featx.linear.losses import inner
from featx.linear.many_rows.blocks import ManyRows, RowsState

# A direction of the classes in which all rows are certain still needs a positive curvature: this part of the largest.
MIN_RELATIVE_CURVATURE = 1e-3
MIN_CURVATURE = 1e-12
# Rows of each class that moments are of, for each column: CG then halves what is left with every product or two.
ROWS_A_COLUMN = 4
# Moments of all classes may take as much memory.
MOMENTS_BYTES = 2**28
# Products that moments save at least, whatever they cost.
LEAST_PRODUCTS = 20


class Preconditioner(Protocol):
    """An easy approximation of the Hessian."""

    def solve(self, gradient: Array) -> Array:
        """Apply the inverse, (k, r + 1) -> (k, r + 1)."""

    def energy(self, weights: Array) -> Array:
        """Measure weights (k, r + 1) by it: (g, 1)."""


@dataclass(frozen=True)
class Averaged:
    """The Hessian as if every row had the average curvature; diagonal once classes are rotated.

    Where the softmax couples the classes, the average of diag(p) - p p^T over the rows is a (k, k) matrix A, and the
    Hessian is about  penalty + C A x z^T z  (a Kronecker product). Since z^T z is diagonal, the eigenvectors of A
    are all that is needed.

    Attributes
    ----------
    scale : (k, r + 1) float64
        The diagonal.
    rotation : (k, k) float64 or None
        Eigenvectors of A, one a column; None where classes are solved one by one.
    coupled : bool
        Whether the loss couples the classes.
    """

    scale: Array
    rotation: Array | None
    coupled: bool

    def solve(self, gradient: Array) -> Array:
        """Apply the inverse, (k, r + 1) -> (k, r + 1)."""
        if self.rotation is None:
            return gradient / self.scale
        return self.rotation @ ((self.rotation.T @ gradient) / self.scale)

    def energy(self, weights: Array) -> Array:
        """Measure weights (k, r + 1) by it: (g, 1)."""
        rotated = weights if self.rotation is None else self.rotation.T @ weights
        return inner(rotated, self.scale * rotated, self.coupled)


@dataclass(frozen=True)
class Classwise:
    """The Hessian of each class by itself, from the moments of some rows.

    Attributes
    ----------
    matrices : (k, r + 1, r + 1) float64
    factors : list of (r + 1, r + 1) float64
        Their Cholesky factors, lower.
    """

    matrices: NDArray[np.float64]
    factors: list[NDArray[np.float64]]

    def solve(self, gradient: Array) -> Array:
        """Apply the inverse, (k, r + 1) -> (k, r + 1)."""
        pairs = zip(self.factors, gradient, strict=True)
        return np.stack([linalg.cho_solve((factor, True), row, check_finite=False) for factor, row in pairs])

    def energy(self, weights: Array) -> Array:
        """Measure weights (k, r + 1) by it: (k, 1)."""
        products = np.stack([matrix @ row for matrix, row in zip(self.matrices, weights, strict=True)])
        return inner(weights, products, coupled=False)


def count_worthwhile_products(rows: ManyRows) -> float:
    """Count the products after which moments would have paid: infinitely many where there may be none.

    Of all columns d the moments of 4 d rows take about as long as d^2 / n products (measured, of 10 to 100 classes).
    """
    n, columns = rows.z.shape
    takes_memory = 4 * rows.targets.n_scores * columns**2
    if rows.coupled or namespace(rows.z) is not np or takes_memory > MOMENTS_BYTES:
        return np.inf
    return max(LEAST_PRODUCTS, columns**2 / n)


def sum_moments(rows: ManyRows, state: RowsState) -> NDArray[np.float32]:
    """Sum the second moments of rows inside the margin, from some that are drawn: (k, r + 1, r + 1)."""
    curvature = np.concatenate(state.curvatures, axis=1)
    columns = rows.z.shape[1]
    # The same numbers each time: equal calls give equal results.
    draws = np.random.default_rng(0).random(len(rows.z))

    def sum_class(place: int) -> NDArray[np.float32]:
        of_class = curvature[place]
        wanted = ROWS_A_COLUMN * columns / max(float(of_class.sum()), MIN_CURVATURE)
        chances = np.minimum(of_class * wanted, 1.0)
        taken = np.flatnonzero(draws < chances)
        sampled = rows.z[taken] * np.sqrt(of_class[taken] / chances[taken])[:, None]
        return np.asarray(sampled.T @ sampled)

    return np.stack(list(map_threads(sum_class, range(len(curvature)), rows.threads)))


def build_classwise(moments: NDArray[np.float32], penalty: Array, c: float) -> Classwise | None:
    """Add the penalty and factorise; None where rounding spoils a class."""
    columns = len(penalty)
    matrices = c * moments.astype(np.float64)
    diagonal = np.arange(columns)
    # What float32 lost in the sums must not make a matrix indefinite.
    lost = ROUNDING["float32"] * matrices[:, diagonal, diagonal].max(axis=1, keepdims=True)
    matrices[:, diagonal, diagonal] += penalty + lost
    try:
        factors = [linalg.cholesky(matrix, lower=True, check_finite=False) for matrix in matrices]
    except linalg.LinAlgError:
        return None
    return Classwise(matrices, factors)


def build_preconditioner(curvature: Array, squares: Array, penalty: Array, c: float, coupled: bool) -> Averaged:
    """Build it from what a pass summed.

    Parameters
    ----------
    curvature : (k, k) or (k, 1) float64
        The curvature of the loss averaged over rows: a matrix where the softmax couples the classes, else a number for
        each.
    squares, penalty : (r + 1,) float64
        Diagonals of the second moments and of the penalty.
    c : float
    coupled : bool
    """
    xp = namespace(curvature)
    rotation = None
    values = curvature[:, :1]
    if curvature.shape[1] > 1:
        eigenvalues, rotation = decompose_symmetric(curvature + 0.0)
        values = eigenvalues[:, None]
    floor = MIN_RELATIVE_CURVATURE * float(xp.amax(values)) + MIN_CURVATURE
    return Averaged(penalty + c * xp.clip(values, min=floor) * squares, rotation, coupled)
