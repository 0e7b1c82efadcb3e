"""Fit a linear classifier to more features than memory holds, by passes over chunks of rows.

The objective and the optimiser are those of `linear.py`; only the products with the data are made chunk by chunk, in
float32, so the result is the same up to rounding, not an approximation by samples. In memory lie the scores (n, k), the
second moments (d, d), and one chunk. The passes: one for mean and scale, one for the second moments, then two a step.
Above `MAX_MOMENTS` columns the second moments are taken as diagonal, which costs steps but changes no result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.linear.fit import LinearModel, require_classes, require_positive
from featx.linear.lapack import one_thread, require_finite
from featx.linear.lbfgs import Curvature, Effort, Solution, minimise
from featx.linear.losses import hinge_loss, logistic_loss
from featx.linear.objective import Problem
from featx.linear.spaces import Scaling, encode, safe_scale

# Called once a pass; yields (m, d) features with (m,) labels, the same rows in the same order each time.
Chunks: TypeAlias = Callable[[], Iterable[tuple[NDArray[np.floating[Any]], Any]]]

MAX_MOMENTS = 8192
# What float32 products allow.
REACH = Effort(1e-7, 300)


@dataclass(frozen=True)
class Summary:
    """What two passes find out.

    Attributes
    ----------
    scaling : Scaling
    labels : (n,) any dtype
    basis : (d, d) float64 or None
        Eigenvectors of the second moments; None stands for the identity.
    squares : (d,) float64
        Their eigenvalues.
    """

    scaling: Scaling
    labels: NDArray[Any]
    basis: NDArray[np.float64] | None
    squares: NDArray[np.float64]


@dataclass(frozen=True)
class Forward:
    """Stands for z^T where weights (k, d + 1) are multiplied by it: one pass."""

    chunks: Chunks
    summary: Summary
    # Numpy then leaves the product to this class.
    __array_ufunc__ = None

    def __rmatmul__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores (k, n)."""
        basis = self.summary.basis
        slopes = weights[:, :-1] if basis is None else weights[:, :-1] @ basis.T
        slopes32 = np.ascontiguousarray(slopes.T, dtype=np.float32)
        parts = [(rows @ slopes32).T for rows in _scaled(self.chunks, self.summary.scaling)]
        return np.concatenate(parts, axis=1).astype(np.float64) + weights[:, -1:]


@dataclass(frozen=True)
class Backward:
    """Stands for z where residuals (k, n) are multiplied by it: one pass."""

    chunks: Chunks
    summary: Summary
    __array_ufunc__ = None

    def __rmatmul__(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return sums over rows, (k, d + 1)."""
        total = np.zeros((len(residual), len(self.summary.squares)))
        start = 0
        for rows in _scaled(self.chunks, self.summary.scaling):
            total += residual[:, start : start + len(rows)].astype(np.float32) @ rows
            start += len(rows)
        basis = self.summary.basis
        rotated = total if basis is None else total @ basis
        return np.concatenate([rotated, residual.sum(axis=1, keepdims=True)], axis=1)


def _scaled(chunks: Chunks, scaling: Scaling) -> Iterator[NDArray[np.float32]]:
    for x, _ in chunks():
        yield ((x - scaling.mean) / scaling.scale).astype(np.float32)


def summarise(chunks: Chunks) -> Summary:
    """Make the first two passes.

    Parameters
    ----------
    chunks : Chunks

    Raises
    ------
    DataError
        If there are no rows, or any holds NaN or infinity.

    Notes
    -----
    Means and variances are merged chunk by chunk (Chan, Golub and LeVeque 1983, equation 2.1).
    """
    n, mean, spread, labels = 0, np.zeros(1), np.zeros(1), []
    for x, y in chunks():
        require_finite(x)
        block = np.asarray(x, dtype=np.float64)
        middle = block.mean(axis=0)
        delta, more = middle - mean, len(block)
        spread = spread + ((block - middle) ** 2).sum(axis=0) + delta**2 * (n * more / (n + more))
        mean = mean + delta * (more / (n + more))
        n += more
        labels.append(np.asarray(y))
    if n == 0:
        raise DataError("there are no rows to fit")
    scaling = Scaling(mean, safe_scale(mean, spread / n, n))
    if len(mean) > MAX_MOMENTS:
        return Summary(scaling, np.concatenate(labels), None, spread / scaling.scale**2)
    moments = np.zeros((len(mean), len(mean)))
    for rows in _scaled(chunks, scaling):
        moments += rows.T @ rows
    squares, basis = np.linalg.eigh(moments)
    return Summary(scaling, np.concatenate(labels), basis, np.clip(squares, 0.0, None))


def fit_streamed(
    chunks: Chunks, kind: str, values: Sequence[float], summary: Summary | None = None, effort: Effort = REACH
) -> list[LinearModel]:
    """Fit one classifier at several C, each from the one before.

    Parameters
    ----------
    chunks : Chunks
    kind : str
        "logreg" or "svm".
    values : sequence of float
        Rising.
    summary : Summary, optional
        Of the same chunks; made here where not given.
    effort : Effort

    Returns
    -------
    list of LinearModel
        In the order of `values`.

    Raises
    ------
    DataError
        If a row holds NaN or infinity, or there is one class only.
    RequestError
        If a C is not positive and finite.
    """
    require_positive(values)
    with one_thread():
        summary = summary or summarise(chunks)
        targets = require_classes(encode(summary.labels))
        like = np.zeros(1)
        loss = hinge_loss(targets, like) if kind == "svm" else logistic_loss(targets, like)
        squares = np.append(summary.squares, len(targets.codes))
        penalty = np.ones(len(squares))
        penalty[-1] = float(kind == "svm")
        ways = Backward(chunks, summary), Forward(chunks, summary)
        rows = len(targets.classes) if len(targets.classes) > 2 else 1
        solution = Solution(np.zeros((rows, len(squares))), np.zeros((rows, len(targets.codes))), 0.0, 0)
        known, models = Curvature(), []
        for c in values:
            problem = Problem(*ways, squares, penalty, loss, float(c))
            solution = minimise(problem, solution, effort, known)
            models.append(_model(kind, targets.classes, summary, solution))
    return models


def _model(kind: str, classes: NDArray[np.generic], summary: Summary, solution: Solution) -> LinearModel:
    slopes, scaling = solution.weights[:, :-1], summary.scaling
    weights = slopes if summary.basis is None else slopes @ summary.basis.T
    return LinearModel(
        kind, classes, scaling.mean, scaling.scale, weights, solution.weights[:, -1], max(1, solution.n_iter)
    )
