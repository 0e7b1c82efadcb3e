"""The penalised objective of a linear classifier: value, gradient, averaged Hessian, and the search along a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from featx.linear.lapack import Array, namespace, rounding_of
from featx.linear.losses import Loss, LossPoint, inner

# Constants of the Wolfe conditions: the objective must fall by this part of what its slope promises, and the slope to
# that part. Trials cost no product with the data, so they may be many, and the search is a sharp one.
SUFFICIENT_DECREASE = 1e-4
SLOPE_REDUCTION = 0.1
MAX_TRIALS = 20
# Rounding may raise the objective by so many units in its last place where nothing is left to gain.
ROUNDING_SLACK = 8
# A class whose images are all certain still needs a positive scale for its unpenalised intercept: this part of the
# largest mean curvature, or a number that is negligible beside the penalty.
MIN_RELATIVE_CURVATURE = 1e-3
MIN_CURVATURE = 1e-12


class State(NamedTuple):
    """An iterate: weights (k, r + 1), their scores (k, n), the loss at them, and the objective (g, 1)."""

    weights: Array
    scores: Array
    point: LossPoint
    objective: Array


@dataclass(frozen=True)
class Objective:
    """One training set, one loss, one C:  sum(penalty * w^2) / 2 + C * loss(w z^T).

    It is a sum over g groups of classes: one group where the loss couples them, else a group for each class.

    Attributes
    ----------
    z : (n, r + 1) float32 or float64
        Coordinates of the rows, and a last column of ones.
    transpose : (r + 1, n) same dtype
        The transpose of z, laid out for fast products.
    squares : (r + 1,) same dtype
        The diagonal of `z.T @ z`, off which it is nearly zero.
    penalty : (r + 1,) same dtype
        1, and 0 for a coordinate that is not penalised.
    loss : Loss
    c : float
    """

    z: Array
    transpose: Array
    squares: Array
    penalty: Array
    loss: Loss
    c: float

    def evaluate(self, weights: Array, scores: Array) -> State:
        """Compute the objective at weights (k, r + 1) whose scores (k, n) are known."""
        point = self.loss.evaluate(scores)
        return State(weights, scores, point, self.half_penalty(weights) + self.c * point.value)

    def half_penalty(self, weights: Array) -> Array:
        """Compute the penalty's part of the objective, (k, r + 1) -> (g, 1)."""
        return 0.5 * inner(weights, self.penalty * weights, self.loss.coupled)

    def gradient(self, state: State) -> Array:
        """Differentiate with respect to the weights, (k, r + 1)."""
        return self.penalty * state.weights + self.c * (state.point.residual @ self.z)

    def averaged_hessian(self, state: State) -> Array:
        """Compute the diagonal of the Hessian with the curvature of the loss averaged over images, (k, r + 1)."""
        xp = namespace(self.z)
        curvature = self.c * self.loss.mean_curvature(state.point)
        floor = MIN_RELATIVE_CURVATURE * float(xp.amax(curvature)) + MIN_CURVATURE
        return self.penalty + xp.clip(curvature, min=floor) * self.squares


class Line(NamedTuple):
    """A direction, and what the objective along it needs; at step length t.

    Attributes
    ----------
    scores : (k, n)
        Change of the scores for t = 1.
    slope : (g, 1)
        First derivative of the objective at t = 0.
    penalty, penalty_slope, penalty_curvature : (g, 1)
        Half the penalty is penalty + t penalty_slope + t^2 penalty_curvature / 2.
    """

    scores: Array
    slope: Array
    penalty: Array
    penalty_slope: Array
    penalty_curvature: Array


def search_line(objective: Objective, state: State, direction: Array, change: Array) -> State:
    """Go, for every group of classes, a length that satisfies the strong Wolfe conditions, or stay.

    Parameters
    ----------
    objective : Objective
    state : State
    direction : (k, r + 1)
    change : (k, n)
        Change of the scores along the direction.

    Returns
    -------
    State

    Notes
    -----
    Nocedal and Wright, Numerical Optimization (2006), conditions 3.7, by Newton's method in one dimension, kept
    within a bracket.
    """
    coupled = objective.loss.coupled
    penalised = objective.penalty * direction
    penalty_slope = inner(penalised, state.weights, coupled)
    line = Line(
        scores=change,
        slope=penalty_slope + objective.c * inner(state.point.residual, change, coupled),
        penalty=objective.half_penalty(state.weights),
        penalty_slope=penalty_slope,
        penalty_curvature=inner(penalised, direction, coupled),
    )
    length, point, value = _wolfe_length(objective, state, line)
    weights = state.weights + length * direction
    scores = state.scores + length * change
    if not bool((length > 0).all()):
        # Groups that stay had another trial length when the loss was last evaluated.
        return objective.evaluate(weights, scores)
    return State(weights, scores, point, value)


def _wolfe_length(objective: Objective, state: State, line: Line) -> tuple[Array, LossPoint, Array]:
    """Return lengths (g, 1), 0 where none was found, with the loss and the objective (g, 1) at the last trial."""
    xp = namespace(line.slope)
    c = objective.c
    loss = objective.loss
    slack = ROUNDING_SLACK * rounding_of(line.slope) * state.objective
    length = xp.ones_like(line.slope)
    low = xp.zeros_like(length)
    high = xp.full_like(length, float("inf"))
    for _ in range(MAX_TRIALS):
        point = loss.evaluate(state.scores + length * line.scores)
        half_penalty = line.penalty + length * line.penalty_slope + 0.5 * length**2 * line.penalty_curvature
        value = half_penalty + c * point.value
        penalty_slope = line.penalty_slope + length * line.penalty_curvature
        slope = penalty_slope + c * inner(point.residual, line.scores, loss.coupled)
        has_fallen = value <= state.objective + SUFFICIENT_DECREASE * length * line.slope + slack
        has_fallen = has_fallen & (line.slope < 0)
        is_flat = xp.abs(slope) <= SLOPE_REDUCTION * xp.abs(line.slope)
        done = (has_fallen & is_flat) | (line.slope >= 0)
        if bool(done.all()):
            break
        product = loss.hessian_product(point, line.scores)
        curvature = line.penalty_curvature + c * inner(product, line.scores, loss.coupled)
        high = xp.where(slope > 0, length, high)
        low = xp.where(slope > 0, low, length)
        newton = length - slope / xp.where(curvature > 0, curvature, xp.ones_like(curvature))
        middle = xp.where(xp.isfinite(high), 0.5 * (low + high), 2.0 * length)
        is_inside = (newton > low) & (newton < high)
        length = xp.where(done, length, xp.where(is_inside, newton, middle))
    return xp.where(has_fallen, length, xp.zeros_like(length)), point, value
