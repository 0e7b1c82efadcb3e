"""Fit a linear classifier to more features than memory holds, reading them again and again in blocks of rows.

Objective and optimiser are those of `fit.py`; only the products with the data are made block by block, in float32, so
the result is the same up to rounding, not an approximation by samples. Memory holds the scores (n, k), the second
moments (d, d), and one block. The data are read once for mean and scale, once for the second moments, and then twice
a step. With more than `MAX_MOMENTS` columns the second moments are taken as diagonal, which costs steps but changes no
result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.linear.fit import LinearModel, require_classes, require_kind, require_positive
from featx.linear.lapack import one_thread, require_finite
from featx.linear.lbfgs import History, Solution, minimise
from featx.linear.losses import build_loss
from featx.linear.objective import Objective
from featx.linear.options import SolverOptions
from featx.linear.spaces import Scaling, Targets, compute_scale, encode_labels

# Called each time the data are read; yields (m, d) features with (m,) labels, the same rows in the same order.
ReadBlocks: TypeAlias = Callable[[], Iterable[tuple[NDArray[np.floating[Any]], Any]]]

# Columns up to which second moments are kept: with so many they are half a gigabyte of float64.
MAX_MOMENTS = 8192
# As exact as float32 products allow.
FLOAT32_OPTIONS = SolverOptions(1e-7, 300)


@dataclass(frozen=True)
class RowMoments:
    """What the rows are like, from reading them twice.

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
class StreamedTranspose:
    """Stands for z^T where weights (k, d + 1) are multiplied by it: the data are read once."""

    read_blocks: ReadBlocks
    moments: RowMoments
    # Numpy then leaves the product to this class.
    __array_ufunc__ = None

    def __rmatmul__(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scores (k, n)."""
        slopes = weights[:, :-1]
        if self.moments.basis is not None:
            slopes = slopes @ self.moments.basis.T
        slopes32 = np.ascontiguousarray(slopes.T, dtype=np.float32)
        scores = [(rows @ slopes32).T for rows in _scale_blocks(self.read_blocks, self.moments.scaling)]
        return np.concatenate(scores, axis=1).astype(np.float64) + weights[:, -1:]


@dataclass(frozen=True)
class StreamedRows:
    """Stands for z where residuals (k, n) are multiplied by it: the data are read once."""

    read_blocks: ReadBlocks
    moments: RowMoments
    __array_ufunc__ = None

    def __rmatmul__(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return sums over rows, (k, d + 1)."""
        total = np.zeros((len(residual), len(self.moments.squares)))
        start = 0
        for rows in _scale_blocks(self.read_blocks, self.moments.scaling):
            stop = start + len(rows)
            total += residual[:, start:stop].astype(np.float32) @ rows
            start = stop
        if self.moments.basis is not None:
            total = total @ self.moments.basis
        return np.concatenate([total, residual.sum(axis=1, keepdims=True)], axis=1)


def _scale_blocks(read_blocks: ReadBlocks, scaling: Scaling) -> Iterator[NDArray[np.float32]]:
    for x, _ in read_blocks():
        yield ((x - scaling.mean) / scaling.scale).astype(np.float32)


def compute_moments(read_blocks: ReadBlocks, max_moments: int = MAX_MOMENTS) -> RowMoments:
    """Fit the scaling and find the coordinates in which second moments are diagonal, reading the data twice.

    Parameters
    ----------
    read_blocks : ReadBlocks
    max_moments : int
        With more columns than this, second moments are taken as diagonal, and the data are read once.

    Returns
    -------
    RowMoments

    Raises
    ------
    DataError
        If there are no rows, or any holds NaN or infinity.
    """
    scaling, variance_sums, labels = _fit_scaling(read_blocks)
    columns = len(variance_sums)
    if columns > max_moments:
        return RowMoments(scaling, labels, None, variance_sums / scaling.scale**2)
    second_moments = np.zeros((columns, columns))
    for rows in _scale_blocks(read_blocks, scaling):
        second_moments += rows.T @ rows
    squares, basis = np.linalg.eigh(second_moments)
    return RowMoments(scaling, labels, basis, np.clip(squares, 0.0, None))


def _fit_scaling(read_blocks: ReadBlocks) -> tuple[Scaling, NDArray[np.float64], NDArray[Any]]:
    """Return the scaling, the sums of squared deviations of every column (d,), and the labels (n,)."""
    n = 0
    mean = np.zeros(1)
    squared_deviations = np.zeros(1)
    labels = []
    for x, y in read_blocks():
        require_finite(x)
        block = np.asarray(x, dtype=np.float64)
        rows = len(block)
        block_mean = block.mean(axis=0)
        delta = block_mean - mean
        # Means and variances of blocks are merged by Chan, Golub and LeVeque 1983, equation 2.1.
        between = delta**2 * (n * rows / (n + rows))
        squared_deviations = squared_deviations + ((block - block_mean) ** 2).sum(axis=0) + between
        mean = mean + delta * (rows / (n + rows))
        n += rows
        labels.append(np.asarray(y))
    if n == 0:
        raise DataError("there are no rows to fit: a classifier needs rows of two classes")
    scaling = Scaling(mean, compute_scale(mean, squared_deviations / n, n))
    return scaling, squared_deviations, np.concatenate(labels)


def fit_out_of_core(
    read_blocks: ReadBlocks,
    kind: str,
    values: Sequence[float],
    moments: RowMoments | None = None,
    options: SolverOptions = FLOAT32_OPTIONS,
) -> list[LinearModel]:
    """Fit one classifier at several C, each from the one before.

    Parameters
    ----------
    read_blocks : ReadBlocks
    kind : str
        "logreg" or "svm".
    values : sequence of float
        Rising.
    moments : RowMoments, optional
        From `compute_moments` of the same rows; computed here where not given.
    options : SolverOptions
        Its tolerance and its limit on steps.

    Returns
    -------
    list of LinearModel
        In the order of `values`.

    Raises
    ------
    DataError
        If there are no rows, one holds NaN or infinity, or there is only one class.
    UnknownName
        If `kind` is neither of those two.
    RequestError
        If a C is not positive and finite.
    """
    require_kind(kind)
    require_positive(values)
    models = []
    with one_thread():
        moments = moments or compute_moments(read_blocks)
        targets = require_classes(encode_labels(moments.labels))
        objective = _build_streamed_objective(read_blocks, kind, moments, targets)
        weights = np.zeros((targets.n_scores, len(objective.squares)))
        scores = np.zeros((targets.n_scores, len(targets.codes)))
        solution = Solution(weights, scores, 0.0, 0)
        history = History()
        for c in values:
            solution = minimise(replace(objective, c=float(c)), solution, options, history)
            models.append(_to_model(kind, targets, moments, solution))
    return models


def _build_streamed_objective(read_blocks: ReadBlocks, kind: str, moments: RowMoments, targets: Targets) -> Objective:
    squares = np.append(moments.squares, len(targets.codes))
    penalty = np.ones(len(squares))
    if kind == "logreg":
        penalty[-1] = 0.0
    return Objective(
        z=StreamedRows(read_blocks, moments),
        transpose=StreamedTranspose(read_blocks, moments),
        squares=squares,
        penalty=penalty,
        loss=build_loss(kind, targets, like=squares),
        c=1.0,
    )


def _to_model(kind: str, targets: Targets, moments: RowMoments, solution: Solution) -> LinearModel:
    weights = solution.weights[:, :-1]
    if moments.basis is not None:
        weights = weights @ moments.basis.T
    return LinearModel(
        kind=kind,
        classes=targets.classes,
        mean=moments.scaling.mean,
        scale=moments.scaling.scale,
        weights=weights,
        intercept=solution.weights[:, -1],
        n_iter=max(1, solution.n_iter),
    )
