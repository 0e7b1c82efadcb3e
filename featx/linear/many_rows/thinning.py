"""The rows that make the Hessian: where C is large most rows are certain, and have next to no curvature.

A product with the Hessian then needs a part of the rows only. Those that hold most of the curvature are all taken, and
of the others some, drawn by their curvature and counted for those that are left out, so that on average nothing is
missing (importance sampling). An error here costs steps, and moves no solution.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from featx.linear.lapack import namespace
from featx.linear.losses import Loss, Softmax, build_loss
from featx.linear.many_rows.blocks import ManyRows, RowsState, divide_rows, take_rows

CERTAIN_SHARE = 0.99
"""Share of the curvature whose rows are all taken: what is drawn is the rest, and may be off by as much as itself."""

WORTH_THINNING = 0.6
"""Part of the rows above which copying them saves nothing."""


def thin_rows(rows: ManyRows, state: RowsState) -> tuple[ManyRows, RowsState]:
    """Take the rows that products with the Hessian need; what is returned is good for those alone.

    Where classes are solved one by one nearly every row counts for one of them, and a GPU is not kept busy by few: then
    the rows are returned as they are.
    """
    if not rows.coupled or namespace(rows.z) is not np:
        return rows, state
    curvature = [measure_rows(loss, each) for loss, each in zip(rows.losses, state.curvatures, strict=True)]
    chances = choose_chances(np.concatenate(curvature))
    n = len(chances)
    if float(chances.sum()) > WORTH_THINNING * n:
        return rows, state
    # The same numbers each time: equal calls give equal results.
    taken = np.flatnonzero(np.random.default_rng(0).random(n) < chances)
    z = rows.z[taken]
    # The Hessian is of second order in the coordinates, so roots make the rows count as they are to.
    z *= (chances[taken] ** -0.5).astype(np.float32)[:, None]
    blocks = divide_rows(len(taken), z.shape[1], rows.targets.n_scores, on_gpu=False)
    targets = take_rows(rows.targets, taken)
    losses = [build_loss(rows.kind, take_rows(targets, block), z) for block in blocks]
    curvatures = np.concatenate(state.curvatures, axis=1)[:, taken]
    thinned = replace(rows, z=z, targets=targets, blocks=blocks, losses=losses)
    return thinned, state._replace(curvatures=[curvatures[:, block] for block in blocks])


def measure_rows(loss: Loss, curvature: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum the curvature of each row of a block over its classes: (k, b) as the loss made it -> (b,)."""
    if not isinstance(loss, Softmax):
        return curvature.sum(axis=0)
    uncertain = np.maximum(1.0 - np.einsum("kb,kb->b", curvature, curvature), 0.0)
    return uncertain if loss.weights is None else uncertain * loss.weights.values


def choose_chances(curvature: NDArray[np.float32]) -> NDArray[np.float64]:
    """Say how likely each row is to be taken: (n,) -> (n,), 1 for those that hold most of the curvature."""
    falling = np.sort(curvature)[::-1].astype(np.float64)
    summed = np.cumsum(falling)
    last = min(int(np.searchsorted(summed, CERTAIN_SHARE * summed[-1])), len(falling) - 1)
    least = falling[last]
    if least <= 0:
        return np.ones(len(curvature))
    return np.minimum(curvature / least, 1.0)
