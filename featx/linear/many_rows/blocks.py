"""A pass over many rows, block by block: objective and gradient, or a product with the Hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.linear.lapack import Array, cast, map_threads, namespace, send_like, to_numpy
from featx.linear.losses import Loss, LossPoint, Softmax, build_loss, inner, weigh
from featx.linear.options import Start
from featx.linear.spaces import Scaling, Targets

# Scores of one block: a megabyte of float32, so that a block stays in a core's cache from one product to the next.
BLOCK_SCORES = 2**18
# Coordinates of one block, likewise: 2 MB of float32, read once from memory for both products (measured on 30,000 x 512
# and 10 classes: a fifth less time than blocks of 8,192 rows).
BLOCK_NUMBERS = 2**19
# On a GPU products are fast only where they are large.
GPU_BLOCK_SCORES = 2**27
MIN_BLOCK = 256
# Of many columns: fewer rows would be slower products.
LEAST_ROWS = 1024
MAX_BLOCK = 8192

# Which rows: in a block, or by number.
Rows: TypeAlias = slice | NDArray[np.intp]

R = TypeVar("R")


class BlockPass(NamedTuple):
    """What one block adds: loss (g, 1), its gradient (k, r + 1), curvatures (k, b), and their sum (k, k) or (k, 1)."""

    loss: Array
    gradient: Array
    curvature: Array
    curvature_sum: Array


class RowsState(NamedTuple):
    """An iterate.

    Attributes
    ----------
    weights : (k, r + 1) float64
        On coordinates, intercept last.
    objective : (g, 1) float64
        One group where the loss couples the classes, else a group for each class.
    gradient : (k, r + 1) float64
    curvatures : list of (k, b) float32
        What the loss makes its second derivative from, block by block.
    mean_curvature : (k, k) or (k, 1) float64
        See `build_preconditioner`.
    """

    weights: Array
    objective: Array
    gradient: Array
    curvatures: list[Array]
    mean_curvature: Array


@dataclass(frozen=True)
class ManyRows:
    """Training rows, scaled and rotated in float32, beside the rows that they were made from.

    Attributes
    ----------
    kind : str
        "logreg" or "svm".
    x : (n, d) float32 or float64
    scaling : Scaling
        Fitted on x.
    basis : (d, d) float32
        Coordinates are scaled rows times this.
    z : (n, d + 1) float32
        Coordinates, and a last column of ones.
    squares : (d + 1,) float64
        The diagonal of the weighted `z.T @ z`, off which it is nearly zero.
    targets : Targets
    blocks : sequence of slice
        Which rows are taken at a time.
    losses : sequence of Loss
        One a block, in float32.
    threads : int
    """

    kind: str
    x: Array
    scaling: Scaling
    basis: Array
    z: Array
    squares: Array
    targets: Targets
    blocks: Sequence[slice]
    losses: Sequence[Loss]
    threads: int

    @property
    def coupled(self) -> bool:
        """Whether the classes must be solved for together."""
        return self.losses[0].coupled

    @property
    def penalty(self) -> Array:
        """1, and 0 for an intercept that is not penalised, (d + 1,) float64."""
        penalty = namespace(self.squares).ones_like(self.squares)
        if self.kind == "logreg":
            penalty[-1] = 0.0
        return penalty

    def place_start(self, start: Start | None) -> Array:
        """Express weights on features as weights on coordinates, (k, d + 1) float64; zeros where there are none."""
        if start is None or start.weights.shape != (self.targets.n_scores, len(self.squares) - 1):
            return self.zeros()
        xp = namespace(self.z)
        weights = send_like(start.weights, self.z, "float64")
        intercept = send_like(start.intercept, self.z, "float64") + weights @ self.scaling.mean
        slopes = (weights * self.scaling.scale) @ cast(self.basis, "float64")
        return xp.concatenate([slopes, intercept[:, None]], axis=1)

    def to_start(self, weights: Array) -> Start:
        """Express weights on coordinates as weights on features as they were given."""
        slopes = to_numpy((weights[:, :-1] @ cast(self.basis, "float64").T) / self.scaling.scale)
        return Start(slopes, to_numpy(weights[:, -1]) - slopes @ to_numpy(self.scaling.mean))

    def zeros(self) -> Array:
        """Weights to start from, (k, d + 1) float64."""
        xp = namespace(self.z)
        return xp.zeros((self.targets.n_scores, len(self.squares)), dtype=xp.float64, device=self.z.device)

    def evaluate(self, weights: Array, c: float) -> RowsState:
        """Compute objective and gradient with products in float32, and sums over blocks in float64."""
        rough = cast(weights, "float32")
        passes = self.map_blocks(partial(self._pass_rough, rough))
        return self._sum(weights, c, passes)

    def evaluate_exactly(self, weights: Array, c: float) -> RowsState:
        """Compute them in float64, from the rows as they were given."""
        basis = cast(self.basis, "float64")
        slopes = weights[:, :-1] @ basis.T
        passes = self.map_blocks(partial(self._pass_exact, slopes, weights[:, -1:]))
        return self._sum(weights, c, passes, basis)

    def hessian_product(self, state: RowsState, direction: Array, c: float, active: Array | None = None) -> Array:
        """Multiply a direction by the Hessian, products in float32.

        Parameters
        ----------
        state : RowsState
        direction : (a, r + 1) float64
        c : float
        active : (a,) int, optional
            The classes that the direction is of, where they are solved one by one; None: all.
        """
        rough = cast(direction, "float32")
        products = self.map_blocks(partial(self._multiply, state, rough, active))
        return self.penalty * direction + c * _add_up(products)

    def map_blocks(self, function: Callable[[int], R]) -> Iterator[R]:
        """Call a function on the number of each block, in threads; results come in their order."""
        return map_threads(function, range(len(self.blocks)), self.threads)

    def _pass_rough(self, weights: Array, place: int) -> BlockPass:
        rows = self.z[self.blocks[place]]
        loss = self.losses[place]
        point = loss.evaluate(weights @ rows.T)
        return BlockPass(point.value, point.residual @ rows, point.curvature, sum_curvature(loss, point.curvature))

    def _pass_exact(self, slopes: Array, intercept: Array, place: int) -> BlockPass:
        block = self.blocks[place]
        rows = self.scaling.apply(self.x[block], "float64")
        loss = build_loss(self.kind, take_rows(self.targets, block), rows)
        point = loss.evaluate(slopes @ rows.T + intercept)
        xp = namespace(rows)
        gradient = xp.concatenate([point.residual @ rows, xp.sum(point.residual, axis=1, keepdims=True)], axis=1)
        curvature = cast(point.curvature, "float32")
        return BlockPass(point.value, gradient, curvature, sum_curvature(self.losses[place], curvature))

    def _multiply(self, state: RowsState, direction: Array, active: Array | None, place: int) -> Array:
        rows = self.z[self.blocks[place]]
        curvature = state.curvatures[place]
        change = direction @ rows.T
        if active is not None:
            return (curvature[active] * change) @ rows
        point = LossPoint(curvature, curvature, curvature)
        return self.losses[place].hessian_product(point, change) @ rows

    def _sum(self, weights: Array, c: float, passes: Iterable[BlockPass], basis: Array | None = None) -> RowsState:
        """Add up what blocks gave; of exact passes gradients are on columns, and still to be rotated."""
        curvatures = []
        losses = []
        gradients = []
        curvature_sums = []
        for each in passes:
            losses.append(each.loss)
            gradients.append(each.gradient)
            curvatures.append(each.curvature)
            curvature_sums.append(each.curvature_sum)
        gradient = _add_up(gradients)
        if basis is not None:
            gradient[:, :-1] = gradient[:, :-1] @ basis
        penalised = self.penalty * weights
        objective = 0.5 * inner(penalised, weights, self.coupled) + c * _add_up(losses)
        mean_curvature = _add_up(curvature_sums) / self.targets.count
        return RowsState(weights, objective, penalised + c * gradient, curvatures, mean_curvature)


def _add_up(parts: Iterable[Array]) -> Array:
    """Sum arrays in float64, one after the other."""
    total: Array = 0.0
    for part in parts:
        total = total + cast(part, "float64")
    return total


def sum_curvature(loss: Loss, curvature: Array) -> Array:
    """Sum the second derivatives over the rows of a block: (k, k) where the softmax couples classes, else (k, 1)."""
    xp = namespace(curvature)
    if not isinstance(loss, Softmax):
        return xp.sum(curvature, axis=1, keepdims=True)
    weighed = weigh(curvature, loss.weights)
    products = weighed @ curvature.T
    return xp.diag(xp.sum(weighed, axis=1)) - products


def take_rows(targets: Targets, block: Rows) -> Targets:
    """Take the labels of some rows; classes stay as they are."""
    row_weights = None if targets.row_weights is None else targets.row_weights[block]
    return replace(targets, codes=targets.codes[block], row_weights=row_weights)


def divide_rows(n: int, columns: int, scores: int, on_gpu: bool) -> list[slice]:
    """Divide n rows into blocks by the number of their columns and scores; neither threads nor machine matter."""
    if on_gpu:
        size = max(MIN_BLOCK, GPU_BLOCK_SCORES // scores)
    else:
        size = max(MIN_BLOCK, min(MAX_BLOCK, BLOCK_SCORES // scores, max(LEAST_ROWS, BLOCK_NUMBERS // columns)))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def prepare_rows(kind: str, x: Array, targets: Targets, scaling: Scaling, basis: Array, threads: int) -> ManyRows:
    """Scale and rotate rows, a block at a time.

    Parameters
    ----------
    kind : str
        "logreg" or "svm".
    x : (n, d) float32 or float64
        A numpy array, or a torch tensor on any device.
    targets : Targets
    scaling : Scaling
        Fitted on x.
    basis : (d, d) float32
        From `compute_column_basis` of these rows, or of rows much the same.
    threads : int
    """
    xp = namespace(x)
    n, d = x.shape
    on_gpu = xp is not np and x.device.type != "cpu"
    blocks = divide_rows(n, d, targets.n_scores, on_gpu)
    z = xp.ones((n, d + 1), dtype=xp.float32, device=x.device)

    def rotate(block: slice) -> Array:
        z[block, :-1] = scaling.apply(x[block], "float32") @ basis
        squared = z[block] * z[block]
        if targets.row_weights is not None:
            squared = squared * send_like(targets.row_weights[block], z, "float32")[:, None]
        return xp.sum(squared, axis=0)

    # A torch tensor keeps its device busy with one call at a time.
    threads = threads if xp is np else 1
    squares = _add_up(map_threads(rotate, blocks, threads))
    losses = [build_loss(kind, take_rows(targets, block), z) for block in blocks]
    return ManyRows(kind, x, scaling, basis, z, squares, targets, blocks, losses, threads)
