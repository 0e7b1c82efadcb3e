"""L-BFGS in the coordinates where the second moments are diagonal, with a preconditioner renewed at every step.

It minimises  sum(penalty * w^2) / 2 + C * loss(w z^T)  over w (k, r + 1), the last coordinate being the intercept.
The Hessian is  penalty + C z^T D z  with D the curvature of the loss at each image. Replacing D by its average over
the images makes it diagonal, since z^T z is: that is the preconditioner. Taking the average at the current point keeps
the number of steps flat along C: as C grows, C * D tends to a limit, while C alone does not. Sources: Liu and Nocedal
1989, Mathematical Programming 45, 503-528; Nocedal and Wright, Numerical Optimization (2006), algorithm 7.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from featx.classifiers.arrays import Array, cast, namespace, precision
from featx.classifiers.losses import inner
from featx.classifiers.objective import Problem, State, evaluate, gradient, preconditioner, search

MEMORY = 10
# Steps without progress before rounding is blamed, by precision.
PATIENCE = {"float32": 25, "float64": 100}
TINY = 1e-30


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes
    ----------
    tolerance : float
        Squared relative error of the weights in the norm of the Hessian; of the objective, a tenth of it.
    max_iter : int
        Steps at each C.
    """

    tolerance: float
    max_iter: int = 1000


class Solution(NamedTuple):
    """Where the solver stopped, or where it shall start.

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
    """A step, the change of the gradient along it, both (k, r + 1), and one over their product, (g, 1)."""

    step: Array
    change: Array
    inverse: Array


def minimise(problem: Problem, start: Solution, effort: Effort, pairs: list[Pair]) -> Solution:
    """Solve one problem, from a given start.

    Parameters
    ----------
    problem : Problem
    start : Solution
        Zeros, or the solution for a nearby C, in the dtype of the problem.
    effort : Effort
    pairs : list of Pair
        What the steps so far have told about the curvature, brought up to date in place. Handed from one C to the next
        it halves the steps, since C times the curvature of the loss changes little; an empty list is fine.

    Returns
    -------
    Solution
    """
    coupled = problem.loss.coupled
    state = evaluate(problem, start.weights, start.scores)
    if pairs:
        # As C grows the weights mostly grow, and a search along themselves costs no product.
        state = search(problem, state, state.weights, state.scores)
    stall = Stall(PATIENCE[precision(start.weights)])
    before: tuple[State, Array] | None = None
    for iteration in range(effort.max_iter + 1):
        slope, scale = gradient(problem, state), preconditioner(problem, state)
        decrement = inner(slope, slope / scale, coupled) / _size(problem, state, scale)
        live = decrement > effort.tolerance
        moved = before is None or _remember(pairs, before, (state, slope), coupled)
        if iteration == effort.max_iter or not moved or not bool(live.any()) or stall.noted(float(decrement.max())):
            break
        direction = _direction(slope, scale, pairs, coupled) * live
        before = state, slope
        state = search(problem, state, direction, direction @ problem.across)
    return Solution(state.weights, state.scores, float(decrement.max()), iteration)


@dataclass
class Stall:
    """Notices that rounding leaves nothing to gain: the decrement has not fallen by a third for so many steps."""

    patience: int
    best: float = float("inf")
    waited: int = 0

    def noted(self, decrement: float) -> bool:
        """Take in one more decrement."""
        if decrement < 0.7 * self.best:
            self.best, self.waited = decrement, 0
        self.waited += 1
        return self.waited > self.patience


def _size(problem: Problem, state: State, scale: Array) -> Array:
    """Return what a decrement is measured against, (g, 1).

    The measure is the size of the weights, but no more than ten objectives, which small errors of large weights would upset.
    At small C the weights tell little and the classes are nearly tied; but there a step gains most, so more is asked.
    """
    energy = inner(state.weights, scale * state.weights, problem.loss.coupled)
    rounding = float(np.finfo(precision(energy)).eps) ** 2
    told = (energy / (state.objective + TINY)).clip(0.02, 1.0)
    return namespace(energy).minimum(told * energy, 10.0 * state.objective) + rounding * state.objective + TINY


def _direction(gradient: Array, scale: Array, pairs: list[Pair], coupled: bool) -> Array:
    """Apply the two loops of L-BFGS, with the preconditioner between them."""
    ahead = -gradient
    lengths = []
    for pair in reversed(pairs):
        length = pair.inverse * inner(pair.step, ahead, coupled)
        ahead = ahead - length * pair.change
        lengths.append(length)
    ahead = ahead / scale
    for pair, length in zip(pairs, reversed(lengths), strict=True):
        ahead = ahead + (length - pair.inverse * inner(pair.change, ahead, coupled)) * pair.step
    return ahead


def _remember(pairs: list[Pair], before: tuple[State, Array], after: tuple[State, Array], coupled: bool) -> bool:
    """Keep the newest pair, and say whether any class moved; one that did not has a pair of no effect."""
    xp = namespace(after[1])
    step, change = after[0].weights - before[0].weights, after[1] - before[1]
    product = inner(step, change, coupled)
    good = product > 0
    if not bool(good.any()):
        return False
    pairs.append(Pair(step, change, xp.where(good, 1.0 / xp.where(good, product, product * 0 + 1), product * 0)))
    del pairs[:-MEMORY]
    return True


def refine(rough: Problem, exact: Problem, start: Solution, effort: Effort, pairs: list[Pair]) -> Solution:
    """Solve in float32, check in float64, and go on in float64 only where that check fails.

    Parameters
    ----------
    rough, exact : Problem
        The same problem in float32 and in float64.
    start : Solution
        In float64.
    effort : Effort
    pairs : list of Pair
        In float32.

    Returns
    -------
    Solution
        In float64; its decrement was computed in float64.
    """
    # Below this float32 only wanders.
    within = Effort(max(effort.tolerance, 1e-8), effort.max_iter)
    begun = start._replace(weights=cast(start.weights, "float32"), scores=cast(start.scores, "float32"))
    first = minimise(rough, begun, within, pairs)
    weights = cast(first.weights, "float64")
    checked = Effort(1.2 * effort.tolerance, effort.max_iter)
    last = minimise(exact, Solution(weights, weights @ exact.across, 0.0, 0), checked, [])
    return last._replace(n_iter=first.n_iter + last.n_iter)
