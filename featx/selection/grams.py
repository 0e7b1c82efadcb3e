"""Inner products of rows, block by block: those of several blocks of columns are the sum of those of each.

So whatever layers are concatenated, n rows cost one sum of n x n matrices and never a pass over columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from featx.linear.lapack import require_finite
from featx.linear.spaces import BLOCK, PARETO, find_constant, fit_scaling
from featx.types import Matrix


@dataclass(frozen=True)
class BlockGram:
    """Inner products of rows over a block of columns, or over several blocks.

    Columns are centred and divided by a power of their deviation. The factor common to all columns that
    `featx.linear.spaces.compute_scale` has on top depends on the columns beside them, so it is left to the sum.

    Attributes
    ----------
    products : (n, n) float32
        Without that factor.
    total_deviation : float
        Sum of the columns' standard deviations.
    columns : int
    """

    products: NDArray[np.float32]
    total_deviation: float
    columns: int

    def __add__(self, other: BlockGram) -> BlockGram:
        """Put the columns of another block beside these."""
        return BlockGram(
            self.products + other.products,
            self.total_deviation + other.total_deviation,
            self.columns + other.columns,
        )

    @property
    def gram(self) -> NDArray[np.float32]:
        """Inner products of the rows after scaling as `compute_scale` does it, (n, n)."""
        mean_deviation = self.total_deviation / self.columns
        # Where no column varies all products are 0.
        factor = (mean_deviation or 1.0) ** (2 * (1 - PARETO))
        return self.products / np.float32(factor)


def compute_block_gram(X: Matrix) -> BlockGram:
    """Compute the inner products of rows over one block of columns, scaled by what these rows say.

    Parameters
    ----------
    X : (n, d) float
        Rows of length one, as `featx.features.scaling.join` makes them, or means of several such rows.

    Returns
    -------
    BlockGram
        Columns that do not vary beyond rounding add nothing to the products.

    Raises
    ------
    DataError
        If X holds NaN or infinity.
    """
    require_finite(X)
    centred = fit_scaling(X, power=None)
    products = np.zeros((len(X), len(X)), np.float32)
    total_deviation = 0.0
    for start in range(0, X.shape[1], BLOCK):
        columns = slice(start, start + BLOCK)
        block = centred.apply_to_columns(X, columns)
        variance = np.mean(block * block, axis=0)
        varies = ~find_constant(centred.mean[columns], variance, len(X))
        deviation = np.sqrt(variance[varies])
        total_deviation += float(deviation.sum())
        scaled = (block[:, varies] / deviation**PARETO).astype(np.float32)
        products += scaled @ scaled.T
    return BlockGram(products, total_deviation, X.shape[1])


def sum_blocks(blocks: Sequence[BlockGram]) -> BlockGram:
    """Put blocks of columns side by side."""
    return reduce(BlockGram.__add__, blocks)


def average_views(X: Matrix, views: int) -> Matrix:
    """Average the views of each image: a fast stand-in for training on all of them.

    Parameters
    ----------
    X : (views * n, d) float32
        View v of image i is row v * n + i.

    Returns
    -------
    (n, d) float32
    """
    if views == 1:
        return X
    return np.asarray(X.reshape(views, -1, X.shape[1]).mean(axis=0), np.float32)
