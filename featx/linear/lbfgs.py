"""L-BFGS in the coordinates where the second moments are diagonal, with a preconditioner renewed at every step.

It minimises  sum(penalty * w^2) / 2 + C * loss(w z^T)  over w (k, r + 1), the last coordinate being the intercept.
The Hessian is  penalty + C z^T D z  with D the curvature of the loss at each image. Replacing D by its average over
the images makes it diagonal, since z^T z is: that is the preconditioner. Taking the average at the current point keeps
the number of steps flat along C: as C grows, C * D tends to a limit, while C alone does not. Sources: Liu and Nocedal
1989, Mathematical Programming 45, 503-528; Nocedal and Wright, Numerical Optimization (2006), algorithm 7.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from featx.linear.lapack import Array, cast, dtype_name, namespace, rounding_of
from featx.linear.losses import inner
from featx.linear.objective import Objective, State, search_line
from featx.linear.options import SolverOptions

# Pairs that are kept; Nocedal and Wright (section 7.2) recommend 3 to 20.
HISTORY_SIZE = 10
# Steps without progress before rounding is blamed, by precision; progress is a decrement that falls to this part.
PATIENCE = {"float32": 25, "float64": 100}
PROGRESS = 0.7
# Below this tolerance float32 only wanders.
FLOAT32_TOLERANCE = 1e-8
# The check in float64 may exceed the tolerance by this factor, so that rounding alone starts no second run.
CHECK_SLACK = 1.2
# Keeps quotients of zeros finite; far below any objective.
TINY = 1e-30
# Bounds of a decrement's measure, see `_decrement_scale`: the weights count for at least this part of their energy,
# and for no more than so many objectives.
MIN_ENERGY_SHARE = 0.02
MAX_OBJECTIVES = 10.0


class Solution(NamedTuple):
    """Where the solver stopped, or where it starts.

    Attributes
    ----------
    weights : (k, r + 1)
    scores : (k, n)
    decrement : float
        The largest squared norm of the gradient under the preconditioner, relative to that of the weights.
    n_iter : int
    """

    weights: Array
    scores: Array
    decrement: float
    n_iter: int


class Pair(NamedTuple):
    """A step and the change of the gradient along it, both (g, p), and one over their product, (g, 1) or a scalar."""

    step: Array
    change: Array
    inverse: Array


@dataclass
class History:
    """What the last steps showed of the Hessian, for all g groups of classes at once (p weights each).

    Handed from one C to the next it halves the steps, since C times the curvature of the loss changes little.
    """

    pairs: list[Pair] = field(default_factory=list)

    def add(self, step: Array, change: Array) -> bool:
        """Take in a pair of (g, p), and say whether any group moved; one that did not gets a pair of no effect."""
        xp = namespace(step)
        product = _dot(step, change)
        has_moved = product > 0
        reciprocal = 1.0 / xp.where(has_moved, product, xp.ones_like(product))
        inverse = xp.where(has_moved, reciprocal, xp.zeros_like(product))
        self.pairs = [*self.pairs[1 - HISTORY_SIZE :], Pair(step, change, inverse)]
        return bool(has_moved.any())

    def descend(self, gradient: Array, scale: Array) -> Array:
        """Apply minus the inverse Hessian, (g, p) -> (g, p): the two loops of L-BFGS, with `scale` between them."""
        direction = -gradient
        lengths = []
        for pair in reversed(self.pairs):
            length = pair.inverse * _dot(pair.step, direction)
            direction -= length * pair.change
            lengths.append(length)
        direction /= scale
        for pair, length in zip(self.pairs, reversed(lengths), strict=True):
            direction += (length - pair.inverse * _dot(pair.change, direction)) * pair.step
        return direction


def _dot(a: Array, b: Array) -> Array:
    # One product of two vectors is several times faster than a sum along rows.
    if len(a) == 1:
        return a[0] @ b[0]
    return namespace(a).sum(a * b, axis=1, keepdims=True)


@dataclass
class StallDetector:
    """Notices that rounding leaves nothing to gain: the decrement has not fallen by a third for so many steps."""

    patience: int
    best: float = float("inf")
    waited: int = 0

    def has_stalled(self, decrement: float) -> bool:
        """Take in the decrement of one more step."""
        if decrement < PROGRESS * self.best:
            self.best = decrement
            self.waited = 0
        self.waited += 1
        return self.waited > self.patience


def minimise(objective: Objective, start: Solution, options: SolverOptions, history: History) -> Solution:
    """Minimise one objective, from a given start.

    Parameters
    ----------
    objective : Objective
    start : Solution
        Zeros, or the solution for a nearby C, in the dtype of the objective.
    options : SolverOptions
        Its tolerance and its limit on steps.
    history : History
        The history of the fit before, brought up to date in place; an empty one is fine.

    Returns
    -------
    Solution
    """
    coupled = objective.loss.coupled
    state = objective.evaluate(start.weights, start.scores)
    if history.pairs:
        # As C grows the weights mostly grow, and a search along themselves costs no product.
        state = search_line(objective, state, state.weights, state.scores)
    stall = StallDetector(PATIENCE[dtype_name(start.weights)])
    # Classes that are solved one by one are groups of their own.
    groups = (1 if coupled else len(state.weights), -1)
    previous: tuple[Array, Array] | None = None
    for iteration in range(options.max_iter + 1):
        slope = objective.gradient(state)
        scale = objective.averaged_hessian(state)
        decrement = inner(slope, slope / scale, coupled) / _decrement_scale(objective, state, scale)
        is_open = decrement > options.tolerance
        weights = state.weights.reshape(groups)
        gradient = slope.reshape(groups)
        has_moved = previous is None or history.add(weights - previous[0], gradient - previous[1])
        if iteration == options.max_iter or not has_moved or not bool(is_open.any()):
            break
        if stall.has_stalled(float(decrement.max())):
            break
        direction = history.descend(gradient, scale.reshape(groups)) * is_open
        direction = direction.reshape(slope.shape)
        previous = (weights, gradient)
        state = search_line(objective, state, direction, direction @ objective.transpose)
    return Solution(state.weights, state.scores, float(decrement.max()), iteration)


def _decrement_scale(objective: Objective, state: State, scale: Array) -> Array:
    """Return what a decrement is measured against, (g, 1).

    The measure is the size of the weights, at most ten objectives: small errors of large weights are large losses.
    At small C the weights say little and the classes are nearly tied; but there a step gains most, so more is asked.
    """
    energy = inner(state.weights, scale * state.weights, objective.loss.coupled)
    return measure_size(energy, state.objective)


def measure_size(energy: Array, objective: Array) -> Array:
    """Return what a decrement is measured against, from energy of the weights and objective; all (g, 1)."""
    rounding = rounding_of(energy) ** 2
    share = (energy / (objective + TINY)).clip(MIN_ENERGY_SHARE, 1.0)
    size = namespace(energy).minimum(share * energy, MAX_OBJECTIVES * objective)
    return size + rounding * objective + TINY


def refine(rough: Objective, exact: Objective, start: Solution, options: SolverOptions, history: History) -> Solution:
    """Solve in float32, check in float64, and go on in float64 only where that check fails.

    Parameters
    ----------
    rough, exact : Objective
        The same one in float32 and in float64.
    start : Solution
        In float64.
    options : SolverOptions
    history : History
        In float32.

    Returns
    -------
    Solution
        In float64; its decrement was computed in float64.
    """
    rough_options = replace(options, tolerance=max(options.tolerance, FLOAT32_TOLERANCE))
    rough_start = start._replace(weights=cast(start.weights, "float32"), scores=cast(start.scores, "float32"))
    first = minimise(rough, rough_start, rough_options, history)
    weights = cast(first.weights, "float64")
    check_options = replace(options, tolerance=CHECK_SLACK * options.tolerance)
    last = minimise(exact, Solution(weights, weights @ exact.transpose, 0.0, 0), check_options, History())
    return last._replace(n_iter=first.n_iter + last.n_iter)
