"""Newton's method on many rows: each step is solved for by conjugate gradients, no more exactly than it deserves.

Early steps point nearly anywhere, so a rough solution costs less than it loses (inexact Newton: Dembo, Eisenstat and
Steihaug 1982, SIAM Journal on Numerical Analysis 19, 400-408). Products with the Hessian are in float32, whatever the
gradient is in: an error there costs steps and moves no solution. Classes that the loss does not couple have steps and
lengths of their own, while their products are made together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from featx.linear.lapack import Array, namespace, to_numpy
from featx.linear.lbfgs import measure_size
from featx.linear.losses import inner
from featx.linear.many_rows.blocks import ManyRows, RowsState
from featx.linear.many_rows.preconditioner import (
    Preconditioner,
    build_classwise,
    build_preconditioner,
    count_worthwhile_products,
    sum_moments,
)
from featx.linear.many_rows.thinning import thin_rows
from featx.linear.options import SolverOptions
from featx.types import Progress

# What is left of the gradient of a step, in the norm of the preconditioner, when conjugate gradients stop; where
# gradients are exact, and dear, more is asked of each.
FORCING = 0.3
EXACT_FORCING = 0.1
MAX_PRODUCTS = 60
# Less than this part of what the tolerance allows is not worth a product.
WORTH_PART = 0.1
HALVINGS = 12
# Rounding may raise the objective by so much, relative to it.
ROUGH_SLACK = 1e-6
EXACT_SLACK = 1e-13
# Steps without progress before rounding is blamed; progress is a decrement that falls to this part, or an objective
# that falls, in all groups, by more than this part of it: far from the solution decrements rise and fall meanwhile.
PATIENCE = 3
PROGRESS = 0.7
WORTH_FALL = 1e-2
# Below this tolerance products in float32 only wander.
ROUGH_TOLERANCE = 1e-6


class RowsSolution(NamedTuple):
    """Where the optimiser stopped.

    Attributes
    ----------
    weights : (k, r + 1) float64
    decrement : float
        The largest of the groups.
    n_iter, passes : int
        Newton steps, and passes over the rows.
    moments : (k, r + 1, r + 1) float32 or None
        See `sum_moments`.
    """

    weights: Array
    decrement: float
    n_iter: int
    passes: int
    moments: Array | None = None


class Guess(NamedTuple):
    """What is known before a solution: weights to begin from, and moments that may precondition."""

    weights: Array
    moments: Array | None = None


@dataclass
class Effort:
    """Counts passes over the rows, and says so to who asked.

    Attributes
    ----------
    report : callable, optional
        Called after each pass with the passes so far, and how many are expected in all.
    expected : int
    passes : int
    """

    report: Progress | None = None
    expected: int = 0
    passes: int = 0

    def count(self) -> None:
        """Count one more pass."""
        self.passes += 1
        if self.report:
            self.report(self.passes, max(self.passes, self.expected))


def solve_rows(rows: ManyRows, c: float, start: Guess, options: SolverOptions, effort: Effort) -> RowsSolution:
    """Solve to a tolerance that float32 reaches, or in float32 first and then with exact gradients.

    Parameters
    ----------
    rows : ManyRows
    c : float
    start : Guess
        Of zeros, or from the solution for a nearby C or of rows much the same.
    options : SolverOptions
        Its tolerance, of which `lbfgs.measure_size` says what it is relative to, and its limit on steps.
    effort : Effort
        Brought up to date.
    """
    rough_options = replace(options, tolerance=max(options.tolerance, ROUGH_TOLERANCE))
    solution = minimise_rows(rows, c, start, rough_options, effort, is_exact=False)
    if options.tolerance < ROUGH_TOLERANCE:
        guess = Guess(centre_classes(rows, solution.weights), solution.moments)
        exact = minimise_rows(rows, c, guess, options, effort, is_exact=True)
        solution = exact._replace(n_iter=solution.n_iter + exact.n_iter)
    return solution._replace(weights=centre_classes(rows, solution.weights))


def centre_classes(rows: ManyRows, weights: Array) -> Array:
    """Subtract from weights (k, r + 1) of a softmax their mean over classes: no score's difference changes.

    The penalty is least there, and the intercept, which has none, is defined.
    """
    if not rows.coupled or len(weights) == 1:
        return weights
    return weights - namespace(weights).mean(weights, axis=0)


def minimise_rows(
    rows: ManyRows, c: float, start: Guess, options: SolverOptions, effort: Effort, *, is_exact: bool
) -> RowsSolution:
    """Minimise one objective from a given start, parameters as in `solve_rows`."""
    forcing = EXACT_FORCING if is_exact else FORCING
    worthwhile = count_worthwhile_products(rows)
    products = 0
    state = _evaluate(rows, start.weights, c, effort, is_exact)
    moments = start.moments
    classwise = None if moments is None else build_classwise(moments, rows.penalty, c)
    best = np.inf
    objective: Array | None = None
    waited = 0
    for step in range(options.max_iter + 1):
        if products >= worthwhile:
            moments = sum_moments(rows, state)
            classwise = build_classwise(moments, rows.penalty, c)
            products = 0
        averaged = build_preconditioner(state.mean_curvature, rows.squares, rows.penalty, c, rows.coupled)
        preconditioner = classwise or averaged
        size = measure_size(preconditioner.energy(state.weights), state.objective)
        decrement = inner(state.gradient, preconditioner.solve(state.gradient), rows.coupled)
        is_open = decrement > options.tolerance * size
        largest = float((decrement / size).max())
        has_fallen = objective is None or bool((state.objective < objective * (1 - WORTH_FALL)).all())
        waited = 0 if has_fallen or largest < PROGRESS * best else waited + 1
        best = min(best, largest)
        objective = state.objective
        if step == options.max_iter or waited > PATIENCE or not bool(is_open.any()):
            break
        enough = namespace(size).maximum(forcing**2 * decrement, WORTH_PART * options.tolerance * size)
        # Gradients in float64 are dear, and deserve exact steps.
        thinned = (rows, state) if is_exact else thin_rows(rows, state)
        before = effort.passes
        direction = _solve_step(*thinned, preconditioner, c, _Target(is_open, enough), effort)
        products += effort.passes - before
        following = _search(rows, state, direction, c, effort, is_exact)
        if following is None:
            break
        state = following
    return RowsSolution(state.weights, largest, step, effort.passes, moments)


class _Target(NamedTuple):
    """Which groups need a step, (g, 1) bool, and at which squared residual theirs is good enough, (g, 1)."""

    is_open: Array
    enough: Array


def _evaluate(rows: ManyRows, weights: Array, c: float, effort: Effort, is_exact: bool) -> RowsState:
    state = rows.evaluate_exactly(weights, c) if is_exact else rows.evaluate(weights, c)
    effort.count()
    return state


def _solve_step(
    rows: ManyRows, state: RowsState, preconditioner: Preconditioner, c: float, target: _Target, effort: Effort
) -> Array:
    """Solve for Newton's step by preconditioned conjugate gradients, (k, r + 1)."""
    xp = namespace(state.weights)
    coupled = rows.coupled
    residual = -state.gradient
    solved = preconditioner.solve(residual)
    norm = inner(residual, solved, coupled)
    direction = solved
    step = xp.zeros_like(solved)
    is_open = target.is_open
    for _ in range(MAX_PRODUCTS):
        product = _multiply(rows, state, direction, c, is_open)
        effort.count()
        curvature = inner(direction, product, coupled)
        is_usable = is_open & (curvature > 0)
        length = xp.where(is_usable, norm / xp.where(is_usable, curvature, xp.ones_like(norm)), xp.zeros_like(norm))
        step = step + length * direction
        residual = residual - length * product
        solved = preconditioner.solve(residual)
        following = inner(residual, solved, coupled)
        is_open = is_usable & (following > target.enough)
        if not bool(is_open.any()):
            break
        direction = solved + following / xp.where(norm > 0, norm, xp.ones_like(norm)) * direction
        norm = following
    return step


def _multiply(rows: ManyRows, state: RowsState, direction: Array, c: float, is_open: Array) -> Array:
    """Multiply by the Hessian, for classes of their own only those that are open; others get zeros."""
    if rows.coupled or bool(is_open.all()):
        return rows.hessian_product(state, direction, c)
    active = np.flatnonzero(to_numpy(is_open)[:, 0])
    product = namespace(direction).zeros_like(direction)
    product[active] = rows.hessian_product(state, direction[active], c, active)
    return product


def _search(
    rows: ManyRows, state: RowsState, direction: Array, c: float, effort: Effort, is_exact: bool
) -> RowsState | None:
    """Take the whole step, or for each group the first half of a half of it that does not raise the objective.

    Returns
    -------
    RowsState, or None
        None where no group has such a step.
    """
    xp = namespace(direction)
    slack = (EXACT_SLACK if is_exact else ROUGH_SLACK) * state.objective
    length = xp.ones_like(state.objective)
    for halving in range(HALVINGS):
        following = _evaluate(rows, state.weights + length * direction, c, effort, is_exact)
        has_risen = following.objective > state.objective + slack
        if not bool(has_risen.any()):
            return following
        shorter = 0.5 * length if halving < HALVINGS - 2 else xp.zeros_like(length)
        length = xp.where(has_risen, shorter, length)
        if not bool((length > 0).any()):
            return None
    return None
