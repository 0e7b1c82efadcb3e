"""The squared-hinge SVM in row space, by Newton's method on its set of support vectors: exact after a few steps.

With f = K b, K the inner products of the rows plus 1 (the penalised intercept), the optimum satisfies
b = 2 C y max(0, 1 - y f). Given the set S of rows inside the margin, b is zero outside S and solves
(K + I / 2C)_SS b_S = y_S inside: one Newton step (Chapelle 2007, "Training a support vector machine in the primal",
section 3). Where S holds more than half of the rows, the same b follows from the inverse A = (K + I / 2C)^-1, which all
classes share:  b = A (y + m), m zero on S, A_NN m_N = -(A y)_N with N the rows outside. So a step never factorises more
than half of the rows, and at small C next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from featx.classifiers.arrays import Array, cast, namespace, solve_positive, to_numpy
from featx.classifiers.rowspace import Space

MAX_STEPS = 50
# Above this condition number of K + I / 2C, float32 would leave fewer than two digits.
FLOAT32_CONDITION = 1e4


@dataclass(frozen=True)
class Kernel:
    """K, and its inverse once C is chosen.

    Attributes
    ----------
    products : (n, n) float32 or float64
        Inner products of the centred rows, plus 1.
    vectors : (n, n) same dtype
        Its eigenvectors.
    values : (n,) same dtype
        Its eigenvalues.
    ridge : float
        1 / 2C.
    """

    products: Array
    vectors: Array
    values: Array
    ridge: float

    @cached_property
    def inverse(self) -> Array:
        """(K + I / 2C)^-1, (n, n)."""
        return (self.vectors / (self.values + self.ridge)) @ self.vectors.T

    def at(self, c: float, dtype: str) -> Kernel:
        """Return the same kernel for another C, as the dtype of that name."""
        return Kernel(cast(self.products, dtype), cast(self.vectors, dtype), cast(self.values, dtype), 1.0 / (2.0 * c))

    @property
    def condition(self) -> float:
        """Condition number of K + I / 2C."""
        xp = namespace(self.values)
        return float((xp.amax(self.values) + self.ridge) / (xp.amin(self.values) + self.ridge))


class Fit(NamedTuple):
    """One class at one C.

    Attributes
    ----------
    rows : (n,)
        Weight of each training row, b above.
    scores : (n,)
        K b.
    objective : float
        b K b / 2 + C sum max(0, 1 - y f)^2.
    n_iter : int
        Newton steps so far.
    """

    rows: Array
    scores: Array
    objective: float
    n_iter: int


def kernel_of(space: Space) -> Kernel:
    """Build K in float64 from a row space."""
    gram: Array = space.gram
    # The constant vector, which the centred rows leave at 0, takes the 1 that was added everywhere: n in all.
    last = namespace(gram).full_like(gram[0, :1], len(gram))
    values = namespace(gram).concatenate([space.squares, last])
    return Kernel(gram + 1.0, space.vectors, values, 0.5)


def solve(kernel: Kernel, signs: Array, start: Array, tolerance: float) -> tuple[Array, int]:
    """Fit all classes at one C.

    Parameters
    ----------
    kernel : Kernel
        In float64, for the C wanted.
    signs : (k, n) float64
        +1 for the class of the row, -1 elsewhere.
    start : (k, n) float64
        Row weights for a nearby C, or zeros.
    tolerance : float
        Bound on the relative duality gap; 0 asks for the exact solution.

    Returns
    -------
    rows : (k, n) float64
    n_iter : int
        The most Newton steps that any class took.
    """
    xp = namespace(signs)
    rows, steps = start, 0
    rough = kernel.at(0.5 / kernel.ridge, "float32")
    if tolerance > 0 and kernel.condition < FLOAT32_CONDITION:
        rows, steps = _all_classes(rough, cast(signs, "float32"), cast(rows, "float32"), tolerance)
        rows = cast(rows, "float64")
    gap = duality_gap(kernel, signs, rows)
    late = [int(k) for k in np.flatnonzero(to_numpy(gap > tolerance))]
    if not late:
        return rows, steps
    rows = rows + 0.0
    fixed, more = _all_classes(kernel, signs[late], rows[late], tolerance)
    rows[late] = fixed
    return xp.asarray(rows), steps + more


def duality_gap(kernel: Kernel, signs: Array, rows: Array) -> Array:
    """Bound how far each class is from its optimum, relative to its objective.

    With the dual point a = 2 C max(0, 1 - y f), the gap is |w(b) - w(a y)|^2 / 2: half the gradient's squared norm.

    Returns
    -------
    (k,) float64
    """
    xp = namespace(rows)
    scores = rows @ kernel.products
    short = xp.clip(1.0 - signs * scores, min=0.0)
    objective = 0.5 * xp.sum(rows * scores, axis=1) + 0.5 / kernel.ridge * xp.sum(short * short, axis=1)
    gradient = rows - signs * short / kernel.ridge
    return 0.5 * xp.sum(gradient * (gradient @ kernel.products), axis=1) / objective


def _all_classes(kernel: Kernel, signs: Array, start: Array, tolerance: float) -> tuple[Array, int]:
    xp = namespace(signs)
    scores = start @ kernel.products
    fits = [_one_class(kernel, signs[k], start[k], scores[k], tolerance) for k in range(len(signs))]
    return xp.stack([fit.rows for fit in fits]), max(fit.n_iter for fit in fits)


def _one_class(kernel: Kernel, sign: Array, rows: Array, scores: Array, tolerance: float) -> Fit:
    fit = Fit(rows, scores, _objective(kernel, sign, rows, scores), 0)
    inside = sign * scores < 1.0
    for step in range(1, MAX_STEPS + 1):
        full = _newton_step(kernel, sign, inside)
        if full is None:
            break
        before = fit
        fit = _accept(kernel, sign, fit, full, step)
        now = sign * fit.scores < 1.0
        settled = not bool((now != inside).any())
        inside = now
        if settled or before.objective - fit.objective <= 0.01 * tolerance * fit.objective:
            break
    return fit


def _objective(kernel: Kernel, sign: Array, rows: Array, scores: Array) -> float:
    xp = namespace(sign)
    short = xp.clip(1.0 - sign * scores, min=0.0)
    return float(0.5 * (rows @ scores) + 0.5 / kernel.ridge * (short @ short))


def _newton_step(kernel: Kernel, sign: Array, inside: Array) -> tuple[Array, Array] | None:
    """Solve for row weights and scores given the rows inside the margin; None where rounding spoils it."""
    support, rest = np.flatnonzero(to_numpy(inside)), np.flatnonzero(~to_numpy(inside))
    if len(support) <= len(rest):
        return _from_support(kernel, sign, support)
    return _from_rest(kernel, sign, rest)


def _from_support(kernel: Kernel, sign: Array, support: Array) -> tuple[Array, Array] | None:
    xp = namespace(sign)
    columns = kernel.products[:, support]
    block = columns[support]
    _diagonal(block)[:] += kernel.ridge
    part = solve_positive(block, sign[support])
    if part is None:
        return None
    rows = xp.zeros_like(sign)
    rows[support] = part
    return rows, columns @ part


def _from_rest(kernel: Kernel, sign: Array, rest: Array) -> tuple[Array, Array] | None:
    inverse = kernel.inverse
    free = inverse @ sign
    columns = inverse[:, rest]
    push = solve_positive(columns[rest], -free[rest])
    if push is None:
        return None
    rows = free + columns @ push
    rows[rest] = 0.0
    # K b = (K + ridge) b - ridge b, and the first term is y + m by construction.
    scores = sign - kernel.ridge * rows
    scores[rest] += push
    return rows, scores


def _diagonal(matrix: Array) -> Array:
    xp = namespace(matrix)
    return np.einsum("ii->i", matrix) if xp is np else xp.diagonal(matrix)


def _accept(kernel: Kernel, sign: Array, fit: Fit, full: tuple[Array, Array], step: int) -> Fit:
    """Take the whole Newton step where it lowers the objective, else the best part of it."""
    rows, scores = full
    objective = _objective(kernel, sign, rows, scores)
    if objective <= fit.objective:
        return Fit(rows, scores, objective, step)
    length = _best_length(kernel, sign, fit, full)
    rows, scores = fit.rows + length * (rows - fit.rows), fit.scores + length * (scores - fit.scores)
    return Fit(rows, scores, _objective(kernel, sign, rows, scores), step)


def _best_length(kernel: Kernel, sign: Array, fit: Fit, full: tuple[Array, Array]) -> float:
    """Minimise the objective along the step, by bisection of its derivative on [0, 1]."""
    xp = namespace(sign)
    rows, scores = full
    change = scores - fit.scores
    start, cross, end = float(fit.rows @ fit.scores), float(fit.rows @ scores), float(rows @ scores)
    low, high = 0.0, 1.0
    for _ in range(20):
        t = 0.5 * (low + high)
        short = xp.clip(1.0 - sign * (fit.scores + t * change), min=0.0)
        slope = -(1 - t) * start + (1 - 2 * t) * cross + t * end - float((short * sign) @ change) / kernel.ridge
        low, high = (low, t) if slope > 0 else (t, high)
    return 0.5 * (low + high)
