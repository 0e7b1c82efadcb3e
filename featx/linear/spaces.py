"""Features in few coordinates: scale columns, then rotate into the space that the rows (or the columns) span.

An L2-penalised linear model has its weights in the span of its (centred) training rows (the representer theorem:
Kimeldorf and Wahba 1971), so n rows of d > n columns can be replaced by n coordinates a row without changing the
decision function. The rotation makes the second moments diagonal, which gives the solvers their preconditioner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.linear.lapack import (
    Array,
    cast,
    compute_column_moments,
    decompose_symmetric,
    dtype_name,
    make_contiguous,
    map_threads,
    namespace,
    send_like,
    to_numpy,
)
from featx.linear.options import SpaceName

# Columns, or rows, that are scaled at a time: 1,020 rows of so many columns are 16 MB in float64.
BLOCK = 2048

PARETO = 0.5
"""Columns are divided by this power of their standard deviation (van den Berg et al., 2006, Centering, scaling, and
transformations: improving the biological information content of metabolomics data, table 1). Channels that are hardly
ever active then weigh more than unscaled, and less than standardised, where their noise is as large as any signal."""

FLOAT64_ROUNDING = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Scaling:
    """A column-wise shift and scale, fitted on training rows only.

    Attributes
    ----------
    mean, scale : (d,) float64
    """

    mean: Array
    scale: Array

    def apply(self, x: Array, dtype: str) -> Array:
        """Return the rows of x shifted and scaled, as the dtype of that name."""
        mean = cast(self.mean, dtype)
        scale = cast(self.scale, dtype)
        shifted = cast(x, dtype) - mean
        shifted /= scale
        return shifted

    def apply_to_columns(self, x: Array, columns: slice) -> Array:
        """Return some columns of x shifted and scaled, as float64."""
        return Scaling(self.mean[columns], self.scale[columns]).apply(x[:, columns], "float64")


@dataclass(frozen=True)
class Space:
    """Training rows in the coordinates where their second moments are diagonal.

    Attributes
    ----------
    coordinates : (n, r) float32 or float64
        The rows; `coordinates.T @ coordinates` is diagonal, or nearly so where the basis is that of other rows. Of
        weighted rows the weighted sum of squares and products is.
    squares : (r,) same dtype
        That diagonal: squared singular values of the centred rows.
    basis : (n, r) or (d, r) same dtype
        Times scaled columns it gives coordinates in column space; times products with the training rows, in row space.
    gram : (n, n) float64 or None
        Inner products of the centred rows; None marks a column space.
    vectors : (n, n) float64 or None
        Eigenvectors of `gram`, the constant vector last; of weighted rows those of the products of rows times the root
        of their weights, the vector of these roots last.
    weights : (n,) float64 or None
        How often each row counts, in the mean that is subtracted and in the second moments; None: once.
    """

    coordinates: Array
    squares: Array
    basis: Array
    gram: Array | None = None
    vectors: Array | None = None
    weights: Array | None = None

    def with_intercept(self, dtype: str) -> tuple[Array, Array]:
        """Append a column of ones to the coordinates: z (n, r + 1), and the diagonal of z^T z (r + 1,)."""
        xp = namespace(self.coordinates)
        coordinates = cast(self.coordinates, dtype)
        # Centred rows are orthogonal to the column of ones, whose square is n.
        count = len(coordinates) if self.weights is None else float(self.weights.sum())
        ones_square = xp.full_like(coordinates[0, :1], count)
        squares = xp.concatenate([cast(self.squares, dtype), ones_square])
        return xp.concatenate([coordinates, xp.ones_like(coordinates[:, :1])], axis=1), squares


def fit_scaling(
    x: Array, power: float | None = PARETO, weights: NDArray[np.float64] | None = None, threads: int = 1
) -> Scaling:
    """Measure mean and scale of every column, in float64.

    Parameters
    ----------
    x : (n, d) float32 or float64
    power : float or None
        Power of the standard deviation, see `compute_scale`; None only centres.
    weights : (n,) float64, optional
        How often each row counts.
    threads : int
    """
    shares = None if weights is None else send_like(weights / weights.sum(), x, "float64")
    mean, variance = compute_column_moments(x, shares, threads)
    if power is None:
        return Scaling(mean, namespace(mean).ones_like(mean))
    return Scaling(mean, compute_scale(mean, variance, len(x), power))


def compute_scale(mean: Array, variance: Array, n: int, power: float = PARETO) -> Array:
    """Turn variances over n rows into scales; all (d,) float64.

    Parameters
    ----------
    mean, variance : (d,) float64
        Population variances: sums of squares divided by n.
    n : int
    power : float
        Power of the standard deviation: 1 standardises. A factor common to all columns makes variances 1 on average
        for 1/2 as for 1, so that the same values of C suit both. A column that does not vary gets scale 1.
    """
    xp = namespace(mean)
    is_constant = find_constant(mean, variance, n)
    deviation = xp.sqrt(xp.where(is_constant, xp.zeros_like(mean), variance))
    scale = deviation**power * xp.mean(deviation) ** (1 - power)
    return xp.where(is_constant, xp.ones_like(mean), scale)


def find_constant(mean: Array, variance: Array, n: int) -> Array:
    """Find the columns that do not vary beyond rounding over n rows; all (d,).

    The bound is the one of scikit-learn's StandardScaler (Chan, Golub and LeVeque 1983, equation 1.7).
    """
    return variance <= n * FLOAT64_ROUNDING * variance + (n * mean * FLOAT64_ROUNDING) ** 2


def compute_gram(x: Array, scaling: Scaling) -> Array:
    """Compute the inner products of all rows after scaling.

    Parameters
    ----------
    x : (n, d) float32 or float64
    scaling : Scaling

    Returns
    -------
    (n, n) float64
        Summed over blocks of columns, so x is never copied as a whole.
    """
    xp = namespace(x)
    gram = xp.zeros((len(x), len(x)), dtype=xp.float64, device=x.device)
    for start in range(0, x.shape[1], BLOCK):
        block = scaling.apply_to_columns(x, slice(start, start + BLOCK))
        gram += block @ block.T
    return gram


def build_row_space(gram: Array, weights: Array | None = None) -> Space:
    """Rotate into the row space, from the inner products of centred rows.

    Parameters
    ----------
    gram : (n, n) float64
    weights : (n,) float64, optional
        How often each row counts, positive; the mean that was subtracted is the weighted one.

    Returns
    -------
    Space
        With n - 1 coordinates, in float64: the small eigenvalues matter once C is large.
    """
    if weights is not None:
        return _build_weighted_row_space(gram, weights)
    xp = namespace(gram)
    n = len(gram)
    # Centred rows make the constant vector an eigenvector of eigenvalue 0. Lifted above all others it is the last one,
    # apart from any other null vector, and the rest are exactly orthogonal to it.
    lift = 2.0 * (float(xp.trace(gram)) or 1.0) / n
    values, vectors = decompose_symmetric(gram + lift)
    vectors[:, -1] = n**-0.5
    roots, inverse = _invert_roots(values[:-1], n, float(xp.trace(gram)))
    rotation = vectors[:, :-1]
    return Space(rotation * roots, roots * roots, rotation * inverse, gram, vectors)


def _build_weighted_row_space(gram: Array, weights: Array) -> Space:
    """Rotate rows times the root of their weights: as if each row were there as often as it counts."""
    xp = namespace(gram)
    half = xp.sqrt(weights)
    weighted = gram * half * half[:, None]
    trace = float(xp.trace(weighted))
    # What the constant vector is to rows that count once, these roots are to weighted ones.
    null_vector = half / xp.sqrt(weights.sum())
    lifted = weighted + 2.0 * (trace or 1.0) * null_vector * null_vector[:, None]
    values, vectors = decompose_symmetric(lifted)
    vectors[:, -1] = null_vector
    roots, inverse = _invert_roots(values[:-1], len(gram), trace)
    rotation = vectors[:, :-1]
    coordinates = rotation / half[:, None] * roots
    basis = rotation * half[:, None] * inverse
    return Space(coordinates, roots * roots, basis, gram, vectors, weights)


def _invert_roots(values: Array, n: int, trace: float) -> tuple[Array, Array]:
    """Give the roots of eigenvalues and one over them, both 0 where an eigenvalue is 0."""
    xp = namespace(values)
    squares = xp.clip(values, min=0.0)
    # Eigenvalues below the rounding error of the largest sum are zeros.
    floor = n * FLOAT64_ROUNDING * trace
    roots = xp.sqrt(xp.where(squares > floor, squares, xp.zeros_like(squares)))
    reciprocals = 1.0 / xp.where(roots > 0, roots, xp.ones_like(roots))
    return roots, xp.where(roots > 0, reciprocals, xp.zeros_like(roots))


def build_column_space(rows: Array, basis: Array | None = None, weights: Array | None = None) -> Space:
    """Rotate scaled rows so that their second moments are diagonal: the choice where rows outnumber columns.

    Parameters
    ----------
    rows : (n, d) float32 or float64
        Centred. The dtype is kept: float32 is enough where only accuracies are compared.
    basis : (d, d) same dtype, optional
        From `compute_column_basis` of rows much the same, such as those of all folds.
    weights : (n,) float64, optional
        How often each row counts.
    """
    counted = None if weights is None else cast(weights, dtype_name(rows))[:, None]
    if basis is None:
        _, basis = decompose_symmetric(rows.T @ (rows if counted is None else counted * rows))
    coordinates = rows @ basis
    weighed = coordinates if counted is None else counted * coordinates
    squares = namespace(rows).sum(weighed * coordinates, axis=0)
    return Space(coordinates, squares, basis, weights=weights)


def compute_column_basis(x: Array, scaling: Scaling, threads: int = 1) -> Array:
    """Find the coordinates in which second moments after scaling are diagonal, in float32.

    Parameters
    ----------
    x : (n, d) float32 or float64
    scaling : Scaling
    threads : int

    Returns
    -------
    (d, d) float32
        Orthonormal columns.
    """
    xp = namespace(x)
    moments = xp.zeros((x.shape[1], x.shape[1]), dtype=xp.float32, device=x.device)
    threads = threads if xp is np else 1

    def multiply(start: int) -> Array:
        rows = scaling.apply(x[start : start + BLOCK], "float32")
        return rows.T @ rows

    for product in map_threads(multiply, range(0, len(x), BLOCK), threads):
        moments += product
    _, vectors = decompose_symmetric(moments)
    return make_contiguous(vectors)


def prefers_rows(n: int, d: int) -> bool:
    """Say whether n training rows of d columns are better rotated into their row space."""
    return n <= d


def build_space(
    x: Array, scaling: Scaling, space: SpaceName = "auto", weights: NDArray[np.float64] | None = None
) -> Space:
    """Rotate rows into their row space or their column space, in float64.

    Parameters
    ----------
    x : (n, d) float32 or float64
    scaling : Scaling
        Fitted on x.
    space : str
        "rows", "columns", or "auto" for the smaller of both.
    weights : (n,) float64, optional
        How often each row counts, positive; the scaling was fitted with them.
    """
    counted = None if weights is None else send_like(weights, x, "float64")
    if space == "rows" or (space == "auto" and prefers_rows(*x.shape)):
        return build_row_space(compute_gram(x, scaling), counted)
    return build_column_space(scaling.apply(x, "float64"), weights=counted)


def to_column_weights(weights: Array, space: Space, x: Array, scaling: Scaling) -> Array:
    """Turn weights on coordinates into weights on scaled columns.

    Parameters
    ----------
    weights : (k, r) float64
    space : Space
    x : (n, d) float32 or float64
        The training rows that the space was made from.
    scaling : Scaling

    Returns
    -------
    (k, d) float64
    """
    rotated = weights @ cast(space.basis, "float64").T
    if space.gram is None:
        return rotated
    columns = [slice(start, start + BLOCK) for start in range(0, x.shape[1], BLOCK)]
    blocks = [rotated @ scaling.apply_to_columns(x, block) for block in columns]
    return namespace(weights).concatenate(blocks, axis=1)


@dataclass(frozen=True)
class Targets:
    """Labels as the solvers want them.

    Attributes
    ----------
    classes : (k,) any dtype
        Sorted.
    codes : (n,) int64
        Index of each row's class.
    row_weights : (n,) float64 or None
        How often each row counts; None: once.
    class_weights : (k,) float64 or None
        The price of an error on each class; None: 1.
    """

    classes: NDArray[np.generic]
    codes: NDArray[np.int64]
    row_weights: NDArray[np.float64] | None = None
    class_weights: NDArray[np.float64] | None = None

    @property
    def n_scores(self) -> int:
        """Rows of the decision function: k, or one (positive for the second class) where k is 2."""
        return len(self.classes) if len(self.classes) > 2 else 1

    def signs(self, like: Array, dtype: str) -> Array:
        """Return +1 for a row's true class and -1 elsewhere, (k, n), or (1, n) where there are two classes."""
        scored = np.arange(len(self.classes)) if len(self.classes) > 2 else np.array([1])
        return send_like(np.where(self.codes == scored[:, None], 1.0, -1.0), like, dtype)

    def loss_weights(self, kind: str) -> NDArray[np.float64] | None:
        """Return what the loss of every row is multiplied by, (n,), as scikit-learn has it; None stands for 1.

        Of an SVM with more than two classes it is (k, n): where a class is told apart from the rest, its weight is that
        of its own rows, and the rest counts once (Fan et al., 2008, LIBLINEAR).
        """
        if self.class_weights is None:
            return self.row_weights
        weights = self.class_weights[self.codes]
        if kind == "svm" and self.n_scores > 1:
            is_own = self.codes == np.arange(len(self.classes))[:, None]
            weights = np.where(is_own, self.class_weights[:, None], 1.0)
        return weights if self.row_weights is None else weights * self.row_weights

    @property
    def count(self) -> float:
        """How many rows there are, each counted by its weight."""
        return float(len(self.codes) if self.row_weights is None else self.row_weights.sum())


def encode_labels(labels: Array) -> Targets:
    """Sort the distinct labels and index them; labels are (n,) of any dtype that sorts."""
    classes, codes = np.unique(to_numpy(labels), return_inverse=True)
    return Targets(classes, codes.astype(np.int64))
