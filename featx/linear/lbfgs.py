"""L-BFGS in the coordinates where the second moments are diagonal, with a preconditioner renewed at every step.

It minimises  sum(penalty * w^2) / 2 + C * loss(w z^T)  over w (k, r + 1), the last coordinate being the intercept.
The Hessian is  penalty + C z^T D z  with D the curvature of the loss at each image. Replacing D by its average over
the images makes it diagonal, since z^T z is: that is the preconditioner. Taking the average at the current point keeps
the number of steps flat along C: as C grows, C * D tends to a limit, while C alone does not. Sources: Liu and Nocedal
1989, Mathematical Programming 45, 503-528; Nocedal and Wright, Numerical Optimization (2006), algorithm 7.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from featx.linear.lapack import Array, cast, epsilon, namespace, precision
from featx.linear.losses import inner
from featx.linear.objective import Problem, State, evaluate, gradient, preconditioner, search

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
    """A step, the change of the gradient along it, both (g, p), and one over their product, (g, 1) or a scalar."""

    step: Array
    change: Array
    inverse: Array


@dataclass
class Curvature:
    """What the last steps have told about the Hessian, for all groups of classes at once (g groups of p weights).

    Handed from one C to the next it halves the steps, since C times the curvature of the loss changes little.
    """

    pairs: list[Pair] = field(default_factory=list)

    def learn(self, step: Array, change: Array) -> bool:
        """Take in a pair of (g, p), and say whether any group moved; one that did not gets a pair of no effect."""
        product = _dot(step, change)
        good = product > 0
        xp = namespace(step)
        inverse = xp.where(good, 1.0 / xp.where(good, product, xp.ones_like(product)), xp.zeros_like(product))
        self.pairs = [*self.pairs[1 - MEMORY :], Pair(step, change, inverse)]
        return bool(good.any())

    def direction(self, gradient: Array, scale: Array) -> Array:
        """Apply minus the inverse Hessian, (g, p) -> (g, p): the two loops of L-BFGS, with `scale` between them."""
        ahead = -gradient
        lengths = []
        for pair in reversed(self.pairs):
            length = pair.inverse * _dot(pair.step, ahead)
            ahead -= length * pair.change
            lengths.append(length)
        ahead /= scale
        for pair, length in zip(self.pairs, reversed(lengths), strict=True):
            ahead += (length - pair.inverse * _dot(pair.change, ahead)) * pair.step
        return ahead


def _dot(a: Array, b: Array) -> Array:
    # One product of two vectors is several times faster than a sum along rows.
    return a[0] @ b[0] if len(a) == 1 else namespace(a).sum(a * b, axis=1, keepdims=True)


def minimise(problem: Problem, start: Solution, effort: Effort, known: Curvature) -> Solution:
    """Solve one problem, from a given start.

    Parameters
    ----------
    problem : Problem
    start : Solution
        Zeros, or the solution for a nearby C, in the dtype of the problem.
    effort : Effort
    known : Curvature
        From the problem before, brought up to date in place; an empty one is fine.

    Returns
    -------
    Solution
    """
    coupled = problem.loss.coupled
    state = evaluate(problem, start.weights, start.scores)
    if known.pairs:
        # As C grows the weights mostly grow, and a search along themselves costs no product.
        state = search(problem, state, state.weights, state.scores)
    stall = Stall(PATIENCE[precision(start.weights)])
    # Classes that are solved one by one are groups of their own.
    flat = (1 if coupled else len(state.weights), -1)
    before: tuple[Array, Array] | None = None
    for iteration in range(effort.max_iter + 1):
        slope, scale = gradient(problem, state), preconditioner(problem, state)
        decrement = inner(slope, slope / scale, coupled) / _size(problem, state, scale)
        live = decrement > effort.tolerance
        here = state.weights.reshape(flat), slope.reshape(flat)
        moved = before is None or known.learn(here[0] - before[0], here[1] - before[1])
        if iteration == effort.max_iter or not moved or not bool(live.any()) or stall.noted(float(decrement.max())):
            break
        direction = (known.direction(here[1], scale.reshape(flat)) * live).reshape(slope.shape)
        before = here
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

    The measure is the size of the weights, at most ten objectives: small errors of large weights are large losses.
    At small C the weights tell little and the classes are nearly tied; but there a step gains most, so more is asked.
    """
    energy = inner(state.weights, scale * state.weights, problem.loss.coupled)
    rounding = epsilon(energy) ** 2
    told = (energy / (state.objective + TINY)).clip(0.02, 1.0)
    return namespace(energy).minimum(told * energy, 10.0 * state.objective) + rounding * state.objective + TINY


def refine(rough: Problem, exact: Problem, start: Solution, effort: Effort, known: Curvature) -> Solution:
    """Solve in float32, check in float64, and go on in float64 only where that check fails.

    Parameters
    ----------
    rough, exact : Problem
        The same problem in float32 and in float64.
    start : Solution
        In float64.
    effort : Effort
    known : Curvature
        In float32.

    Returns
    -------
    Solution
        In float64; its decrement was computed in float64.
    """
    # Below this float32 only wanders.
    within = Effort(max(effort.tolerance, 1e-8), effort.max_iter)
    begun = start._replace(weights=cast(start.weights, "float32"), scores=cast(start.scores, "float32"))
    first = minimise(rough, begun, within, known)
    weights = cast(first.weights, "float64")
    checked = Effort(1.2 * effort.tolerance, effort.max_iter)
    last = minimise(exact, Solution(weights, weights @ exact.across, 0.0, 0), checked, Curvature())
    return last._replace(n_iter=first.n_iter + last.n_iter)
