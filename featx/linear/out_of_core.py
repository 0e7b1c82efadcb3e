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
from featx.linear.weighting import Weighting, require_weights, weigh_targets

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
    row_weights : (n,) float64 or None
        How often each row counts; None: once.
    """

    scaling: Scaling
    labels: NDArray[Any]
    basis: NDArray[np.float64] | None
    squares: NDArray[np.float64]
    row_weights: NDArray[np.float64] | None = None


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


@dataclass(frozen=True)
class PositiveBlocks:
    """Reads blocks without their rows of weight 0.

    Attributes
    ----------
    read_blocks : ReadBlocks
    weights : (n,) float64
    """

    read_blocks: ReadBlocks
    weights: NDArray[np.float64]

    def __call__(self) -> Iterator[tuple[NDArray[np.floating[Any]], Any]]:
        """Yield features and labels of the rows that count."""
        start = 0
        for x, y in self.read_blocks():
            kept = np.flatnonzero(self.weights[start : start + len(x)])
            start += len(x)
            if len(kept):
                yield x[kept], np.asarray(y)[kept]


def _scale_blocks(read_blocks: ReadBlocks, scaling: Scaling) -> Iterator[NDArray[np.float32]]:
    for x, _ in read_blocks():
        yield ((x - scaling.mean) / scaling.scale).astype(np.float32)


def compute_moments(
    read_blocks: ReadBlocks, max_moments: int = MAX_MOMENTS, row_weights: NDArray[np.float64] | None = None
) -> RowMoments:
    """Fit the scaling and find the coordinates in which second moments are diagonal, reading the data twice.

    Parameters
    ----------
    read_blocks : ReadBlocks
    max_moments : int
        With more columns than this, second moments are taken as diagonal, and the data are read once.
    row_weights : (n,) float64, optional
        How often each row counts, positive.

    Returns
    -------
    RowMoments

    Raises
    ------
    DataError
        If there are no rows, or any holds NaN or infinity.
    """
    scaling, variance_sums, labels = _fit_scaling(read_blocks, row_weights)
    columns = len(variance_sums)
    if columns > max_moments:
        return RowMoments(scaling, labels, None, variance_sums / scaling.scale**2, row_weights)
    second_moments = np.zeros((columns, columns))
    start = 0
    for rows in _scale_blocks(read_blocks, scaling):
        stop = start + len(rows)
        second_moments += rows.T @ (rows if row_weights is None else _repeat(rows, row_weights[start:stop]))
        start = stop
    squares, basis = np.linalg.eigh(second_moments)
    return RowMoments(scaling, labels, basis, np.clip(squares, 0.0, None), row_weights)


def _repeat(rows: NDArray[np.float32], weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Multiply rows by how often they count."""
    return rows * weights[:, None].astype(np.float32)


def _fit_scaling(
    read_blocks: ReadBlocks, row_weights: NDArray[np.float64] | None
) -> tuple[Scaling, NDArray[np.float64], NDArray[Any]]:
    """Return the scaling, the sums of squared deviations of every column (d,), and the labels (n,)."""
    start = 0
    n: float = 0
    mean = np.zeros(1)
    squared_deviations = np.zeros(1)
    labels = []
    for x, y in read_blocks():
        require_finite(x)
        block = np.asarray(x, dtype=np.float64)
        rows, block_mean, block_deviations = _measure_block(block, row_weights, start)
        delta = block_mean - mean
        # Means and variances of blocks are merged by Chan, Golub and LeVeque 1983, equation 2.1.
        between = delta**2 * (n * rows / (n + rows))
        squared_deviations = squared_deviations + block_deviations + between
        mean = mean + delta * (rows / (n + rows))
        n += rows
        start += len(block)
        labels.append(np.asarray(y))
    if n == 0:
        raise DataError("there are no rows to fit: a classifier needs rows of two classes")
    scaling = Scaling(mean, compute_scale(mean, squared_deviations / n, start))
    return scaling, squared_deviations, np.concatenate(labels)


def _measure_block(
    block: NDArray[np.float64], row_weights: NDArray[np.float64] | None, start: int
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return how many rows a block counts for, and mean and sum of squared deviations of each column (d,)."""
    if row_weights is None:
        block_mean = block.mean(axis=0)
        return len(block), block_mean, ((block - block_mean) ** 2).sum(axis=0)
    weights = row_weights[start : start + len(block)]
    count = float(weights.sum())
    block_mean = weights @ block / count
    return count, block_mean, weights @ (block - block_mean) ** 2


def fit_out_of_core(
    read_blocks: ReadBlocks,
    kind: str,
    values: Sequence[float],
    moments: RowMoments | None = None,
    options: SolverOptions = FLOAT32_OPTIONS,
    weighting: Weighting | None = None,
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
        From `compute_moments` of the same rows and weights; computed here where not given.
    options : SolverOptions
        Its tolerance and its limit on steps.
    weighting : Weighting, optional
        How much rows, in the order in which they are read, and classes count.

    Returns
    -------
    list of LinearModel
        In the order of `values`.

    Raises
    ------
    DataError
        If there are no rows, one holds NaN or infinity, there is only one class, or a weight of a row is negative or
        not finite.
    UnknownName
        If `kind` is neither of those two.
    RequestError
        If a C or the weight of a class is not positive and finite.
    """
    require_kind(kind)
    require_positive(values)
    weighting = weighting or Weighting()
    read_blocks, row_weights = read_positive(read_blocks, weighting)
    models = []
    with one_thread():
        moments = moments or compute_moments(read_blocks, row_weights=row_weights)
        targets = weigh_targets(require_classes(encode_labels(moments.labels)), weighting, row_weights)
        objective = _build_streamed_objective(read_blocks, kind, moments, targets)
        weights = np.zeros((targets.n_scores, len(objective.squares)))
        scores = np.zeros((targets.n_scores, len(targets.codes)))
        solution = Solution(weights, scores, 0.0, 0)
        history = History()
        for c in values:
            solution = minimise(replace(objective, c=float(c)), solution, options, history)
            models.append(_to_model(kind, targets, moments, solution))
    return models


def read_positive(read_blocks: ReadBlocks, weighting: Weighting) -> tuple[ReadBlocks, NDArray[np.float64] | None]:
    """Leave rows of weight 0 out: what reads the others, and their weights."""
    if weighting.rows is None:
        return read_blocks, None
    weights = require_weights(weighting.rows, len(weighting.rows))
    if weights.all():
        return read_blocks, weights
    return PositiveBlocks(read_blocks, weights), weights[weights > 0]


def _build_streamed_objective(read_blocks: ReadBlocks, kind: str, moments: RowMoments, targets: Targets) -> Objective:
    squares = np.append(moments.squares, targets.count)
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
