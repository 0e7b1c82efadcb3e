"""What stands for the Hessian between the steps of conjugate gradients: curvature averaged over the rows."""

from __future__ import annotations

from dataclasses import dataclass

from featx.linear.lapack import Array, decompose_symmetric, namespace
from featx.linear.losses import inner

# A direction of the classes in which all rows are certain still needs a positive curvature: this part of the largest.
MIN_RELATIVE_CURVATURE = 1e-3
MIN_CURVATURE = 1e-12


@dataclass(frozen=True)
class Preconditioner:
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


def build_preconditioner(curvature: Array, squares: Array, penalty: Array, c: float, coupled: bool) -> Preconditioner:
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
    return Preconditioner(penalty + c * xp.clip(values, min=floor) * squares, rotation, coupled)
