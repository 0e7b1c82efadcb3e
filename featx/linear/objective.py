"""The penalised objective of a linear classifier: value, gradient, averaged Hessian, and the search along a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from featx.linear.lapack import Array, epsilon, namespace
from featx.linear.losses import Loss, Point, inner

MAX_TRIALS = 20
# A search ends where the slope has fallen to this part. Trials cost no product with the data, so they may be many.
FLATTER = 0.1


@dataclass(frozen=True)
class Problem:
    """One training set, one loss, one C.

    Attributes
    ----------
    z : (n, r + 1) float32 or float64
        Coordinates of the rows, and a last column of ones.
    across : (r + 1, n) same dtype
        Its transpose, laid out for fast products.
    squares : (r + 1,) same dtype
        The diagonal of `z.T @ z`, off which it is nearly zero.
    penalty : (r + 1,) same dtype
        1, and 0 where a coordinate goes free.
    loss : Loss
    c : float
    """

    z: Array
    across: Array
    squares: Array
    penalty: Array
    loss: Loss
    c: float


class State(NamedTuple):
    """A point on the way: weights (k, r + 1), scores (k, n), the loss there, and the objective (g, 1)."""

    weights: Array
    scores: Array
    point: Point
    objective: Array


class Line(NamedTuple):
    """A direction and what the objective along it needs.

    Attributes
    ----------
    scores : (k, n)
        Change of the scores.
    slope : (g, 1)
        First derivative of the objective at the start.
    energy, across, along : (g, 1)
        Half the penalty is energy + t across + t^2 along / 2.
    """

    scores: Array
    slope: Array
    energy: Array
    across: Array
    along: Array


def evaluate(problem: Problem, weights: Array, scores: Array) -> State:
    """Compute the objective at weights (k, r + 1), whose scores (k, n) are known."""
    point = problem.loss.at(scores)
    energy = 0.5 * inner(weights, problem.penalty * weights, problem.loss.coupled)
    return State(weights, scores, point, energy + problem.c * point.value)


def gradient(problem: Problem, state: State) -> Array:
    """Differentiate the objective with respect to the weights, (k, r + 1)."""
    return problem.penalty * state.weights + problem.c * (state.point.residual @ problem.z)


def preconditioner(problem: Problem, state: State) -> Array:
    """Return the diagonal of the averaged Hessian, (k, r + 1)."""
    xp = namespace(problem.z)
    bend = problem.c * problem.loss.bend(state.point)
    # A class whose images are all certain still needs a positive scale for its free intercept.
    bend = xp.clip(bend, min=1e-3 * float(xp.amax(bend)) + 1e-12)
    return problem.penalty + bend * problem.squares


def search(problem: Problem, state: State, direction: Array, scores: Array) -> State:
    """Go, for every group of classes, a length that satisfies the strong Wolfe conditions, or stay.

    Parameters
    ----------
    problem : Problem
    state : State
    direction : (k, r + 1)
    scores : (k, n)
        The change of the scores along it.

    Notes
    -----
    Nocedal and Wright, conditions 3.7, by Newton's method in one dimension, kept within a bracket.
    """
    coupled = problem.loss.coupled
    pulled = problem.penalty * direction
    across = inner(pulled, state.weights, coupled)
    energy = 0.5 * inner(state.weights, problem.penalty * state.weights, coupled)
    slope = across + problem.c * inner(state.point.residual, scores, coupled)
    line = Line(scores, slope, energy, across, inner(pulled, direction, coupled))
    length, point, objective = _wolfe(problem, state, line)
    weights, scores = state.weights + length * direction, state.scores + length * scores
    if not bool((length > 0).all()):
        # Groups that stay had another trial length when the loss was last evaluated.
        return evaluate(problem, weights, scores)
    return State(weights, scores, point, objective)


def _wolfe(problem: Problem, state: State, line: Line) -> tuple[Array, Point, Array]:
    """Return lengths (g, 1), 0 where none was found, with the loss and the objective at the last trial."""
    xp = namespace(line.slope)
    c, coupled = problem.c, problem.loss.coupled
    slack = 8 * epsilon(line.slope) * state.objective
    length = xp.ones_like(line.slope)
    low, high = xp.zeros_like(length), xp.full_like(length, float("inf"))
    for _ in range(MAX_TRIALS):
        point = problem.loss.at(state.scores + length * line.scores)
        objective = line.energy + length * line.across + 0.5 * length**2 * line.along + c * point.value
        here = line.across + length * line.along + c * inner(point.residual, line.scores, coupled)
        fell = (objective <= state.objective + 1e-4 * length * line.slope + slack) & (line.slope < 0)
        done = (fell & (xp.abs(here) <= FLATTER * xp.abs(line.slope))) | (line.slope >= 0)
        if bool(done.all()):
            break
        bend = line.along + c * inner(problem.loss.curve(point, line.scores), line.scores, coupled)
        high, low = xp.where(here > 0, length, high), xp.where(here > 0, low, length)
        newton = length - here / xp.where(bend > 0, bend, xp.ones_like(bend))
        middle = xp.where(xp.isfinite(high), 0.5 * (low + high), 2.0 * length)
        length = xp.where(done, length, xp.where((newton > low) & (newton < high), newton, middle))
    return xp.where(fell, length, xp.zeros_like(length)), point, objective
