"""The squared-hinge SVM by Newton's method on its set of support vectors: exact after a few steps.

Inside a set of rows within the margin the objective is quadratic, so each step is one linear system
(`svm_systems.py`), and once the set repeats itself the optimum is reached to the last digit. Along C the set changes
little. Sources: Mangasarian 2002, Optimization Methods and Software 17, 913-929 (finite termination); Keerthi and
DeCoste 2005, JMLR 6, 341-361 (search along the step).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from featx.linear.lapack import Array, cast, namespace, to_numpy
from featx.linear.svm_systems import Point, System

MAX_STEPS = 50
# Above this condition number float32 would leave too few digits.
FLOAT32_CONDITION = 1e4
# A class is settled when a step gains less than this part of the tolerance.
NEGLIGIBLE_GAIN = 0.01
# Halvings of the interval in which the best step length lies: it is found to one part in a million.
BISECTIONS = 20


class Margins(NamedTuple):
    """On which side of its margin each row is to lie, and what failing that costs.

    Attributes
    ----------
    signs : (k, n), or (n,) of one class
        +1 for the class of the row, -1 elsewhere.
    weights : same shape, or None
        Positive, what the losses are multiplied by; None stands for 1.
    """

    signs: Array
    weights: Array | None = None

    def take(self, places: Any) -> Margins:
        """Give those of one class, or of some."""
        return Margins(self.signs[places], None if self.weights is None else self.weights[places])

    def cast(self, dtype: str) -> Margins:
        """Return them as the dtype of that name."""
        return Margins(cast(self.signs, dtype), None if self.weights is None else cast(self.weights, dtype))

    def shortfall(self, scores: Array) -> Array:
        """Say how far scores lie inside the margin: max(0, 1 - y f)."""
        return namespace(self.signs).clip(1.0 - self.signs * scores, min=0.0)

    def weigh(self, losses: Array) -> Array:
        """Multiply losses by their weights."""
        return losses if self.weights is None else self.weights * losses


class ClassFit(NamedTuple):
    """One class at one C: the model, its objective, and the Newton steps so far."""

    point: Point
    objective: float
    n_iter: int


def solve_svm(
    system: System, signs: Array, start: Array, tolerance: float, loss_weights: Array | None = None
) -> tuple[Array, int]:
    """Fit all classes at one C.

    Parameters
    ----------
    system : System
        In float64, for the C wanted.
    signs : (k, n) float64
        +1 for the class of the row, -1 elsewhere.
    start : (k, m) float64
        Weights for a nearby C, or zeros.
    tolerance : float
        Bound on the relative duality gap; 0 asks for the exact solution.
    loss_weights : (k, n) float64, optional
        Positive; what the losses are multiplied by.

    Returns
    -------
    weights : (k, m) float64
    n_iter : int
        The most Newton steps that any class took.
    """
    margins = Margins(signs, loss_weights)
    weights = start
    steps = 0
    if tolerance > 0 and system.condition_number < FLOAT32_CONDITION:
        rough = system.with_c(0.5 / system.ridge, "float32")
        weights, steps = _solve_classes(rough, margins.cast("float32"), cast(weights, "float32"), tolerance)
        weights = cast(weights, "float64")
    unsolved = np.flatnonzero(to_numpy(duality_gap(system, signs, weights, loss_weights) > tolerance))
    if not len(unsolved):
        return weights, steps
    solved, more_steps = _solve_classes(system, margins.take(unsolved), weights[unsolved], tolerance)
    # Written into a copy: the weights may be the caller's.
    weights = weights + 0.0
    weights[unsolved] = solved
    return weights, steps + more_steps


def duality_gap(system: System, signs: Array, weights: Array, loss_weights: Array | None = None) -> Array:
    """Bound how far each class is from its optimum, relative to its objective, (k,).

    With the dual point a = 2 C d max(0, 1 - y f), d the weights of the losses, the gap is half the squared norm of the
    gradient.
    """
    margins = Margins(signs, loss_weights)
    point = system.point_at(weights)
    shortfall = margins.shortfall(point.scores)
    weighed = margins.weigh(shortfall)
    objective = 0.5 * system.inner(point, point) + 0.5 / system.ridge * (shortfall * weighed).sum(axis=-1)
    gradient = system.gradient(weights, signs * weighed / system.ridge)
    return 0.5 * system.inner(gradient, gradient) / objective


def _solve_classes(system: System, margins: Margins, start: Array, tolerance: float) -> tuple[Array, int]:
    points = system.point_at(start)
    fits = []
    for place, (weights, scores) in enumerate(zip(points.weights, points.scores, strict=True)):
        fits.append(_solve_class(system, margins.take(place), Point(weights, scores), tolerance))
    weights = namespace(start).stack([fit.point.weights for fit in fits])
    return weights, max(fit.n_iter for fit in fits)


def _solve_class(system: System, margins: Margins, start: Point, tolerance: float) -> ClassFit:
    fit = ClassFit(start, _objective(system, margins, start), 0)
    sign = margins.signs
    inside = sign * start.scores < 1.0
    for step in range(1, MAX_STEPS + 1):
        newton = system.solve_newton(sign, inside, margins.weights)
        if newton is None:
            break
        previous = fit
        fit = _accept(system, margins, previous, newton, step)
        still_inside = sign * fit.point.scores < 1.0
        is_settled = not bool((still_inside != inside).any())
        inside = still_inside
        if is_settled or previous.objective - fit.objective <= NEGLIGIBLE_GAIN * tolerance * fit.objective:
            break
    return fit


def _objective(system: System, margins: Margins, point: Point) -> float:
    shortfall = margins.shortfall(point.scores)
    return float(0.5 * system.inner(point, point) + 0.5 / system.ridge * (shortfall @ margins.weigh(shortfall)))


def _accept(system: System, margins: Margins, fit: ClassFit, newton: Point, step: int) -> ClassFit:
    """Take the whole Newton step where it lowers the objective, else the best part of it."""
    objective = _objective(system, margins, newton)
    if objective <= fit.objective:
        return ClassFit(newton, objective, step)
    start = fit.point
    length = _best_length(system, margins, start, newton)
    weights = start.weights + length * (newton.weights - start.weights)
    scores = start.scores + length * (newton.scores - start.scores)
    point = Point(weights, scores)
    return ClassFit(point, _objective(system, margins, point), step)


def _best_length(system: System, margins: Margins, start: Point, newton: Point) -> float:
    """Minimise the objective along the step, by bisection of its derivative on [0, 1]."""
    change = newton.scores - start.scores
    # The penalty at start + t (newton - start) is a quadratic of t with these coefficients.
    start_start = float(system.inner(start, start))
    start_newton = float(system.inner(start, newton))
    newton_newton = float(system.inner(newton, newton))
    low = 0.0
    high = 1.0
    for _ in range(BISECTIONS):
        t = 0.5 * (low + high)
        shortfall = margins.shortfall(start.scores + t * change)
        penalty_slope = -(1 - t) * start_start + (1 - 2 * t) * start_newton + t * newton_newton
        slope = penalty_slope - float((margins.weigh(shortfall) * margins.signs) @ change) / system.ridge
        if slope > 0:
            high = t
        else:
            low = t
    return 0.5 * (low + high)
