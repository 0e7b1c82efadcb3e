"""The squared-hinge SVM by Newton's method on its set of support vectors: exact after a few steps.

Inside a set of rows within the margin the objective is quadratic, so each step is one linear system
(`svm_systems.py`), and once the set repeats itself the optimum is reached to the last digit. Along C the set changes
little. Sources: Mangasarian 2002, Optimization Methods and Software 17, 913-929 (finite termination); Keerthi and
DeCoste 2005, JMLR 6, 341-361 (search along the step).
"""

from __future__ import annotations

from typing import NamedTuple

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


class ClassFit(NamedTuple):
    """One class at one C: the model, its objective, and the Newton steps so far."""

    point: Point
    objective: float
    n_iter: int


def solve_svm(system: System, signs: Array, start: Array, tolerance: float) -> tuple[Array, int]:
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

    Returns
    -------
    weights : (k, m) float64
    n_iter : int
        The most Newton steps that any class took.
    """
    weights = start
    steps = 0
    if tolerance > 0 and system.condition_number < FLOAT32_CONDITION:
        rough = system.with_c(0.5 / system.ridge, "float32")
        weights, steps = _solve_classes(rough, cast(signs, "float32"), cast(weights, "float32"), tolerance)
        weights = cast(weights, "float64")
    unsolved = np.flatnonzero(to_numpy(duality_gap(system, signs, weights) > tolerance))
    if not len(unsolved):
        return weights, steps
    solved, more_steps = _solve_classes(system, signs[unsolved], weights[unsolved], tolerance)
    # Written into a copy: the weights may be the caller's.
    weights = weights + 0.0
    weights[unsolved] = solved
    return weights, steps + more_steps


def duality_gap(system: System, signs: Array, weights: Array) -> Array:
    """Bound how far each class is from its optimum, relative to its objective, (k,).

    With the dual point a = 2 C max(0, 1 - y f), the gap is half the squared norm of the gradient.
    """
    point = system.point_at(weights)
    shortfall = namespace(signs).clip(1.0 - signs * point.scores, min=0.0)
    objective = 0.5 * system.inner(point, point) + 0.5 / system.ridge * (shortfall * shortfall).sum(axis=-1)
    gradient = system.gradient(weights, signs * shortfall / system.ridge)
    return 0.5 * system.inner(gradient, gradient) / objective


def _solve_classes(system: System, signs: Array, start: Array, tolerance: float) -> tuple[Array, int]:
    points = system.point_at(start)
    fits = []
    for sign, weights, scores in zip(signs, points.weights, points.scores, strict=True):
        fits.append(_solve_class(system, sign, Point(weights, scores), tolerance))
    weights = namespace(signs).stack([fit.point.weights for fit in fits])
    return weights, max(fit.n_iter for fit in fits)


def _solve_class(system: System, sign: Array, start: Point, tolerance: float) -> ClassFit:
    fit = ClassFit(start, _objective(system, sign, start), 0)
    inside = sign * start.scores < 1.0
    for step in range(1, MAX_STEPS + 1):
        newton = system.solve_newton(sign, inside)
        if newton is None:
            break
        previous = fit
        fit = _accept(system, sign, previous, newton, step)
        still_inside = sign * fit.point.scores < 1.0
        is_settled = not bool((still_inside != inside).any())
        inside = still_inside
        if is_settled or previous.objective - fit.objective <= NEGLIGIBLE_GAIN * tolerance * fit.objective:
            break
    return fit


def _objective(system: System, sign: Array, point: Point) -> float:
    shortfall = namespace(sign).clip(1.0 - sign * point.scores, min=0.0)
    return float(0.5 * system.inner(point, point) + 0.5 / system.ridge * (shortfall @ shortfall))


def _accept(system: System, sign: Array, fit: ClassFit, newton: Point, step: int) -> ClassFit:
    """Take the whole Newton step where it lowers the objective, else the best part of it."""
    objective = _objective(system, sign, newton)
    if objective <= fit.objective:
        return ClassFit(newton, objective, step)
    start = fit.point
    length = _best_length(system, sign, start, newton)
    weights = start.weights + length * (newton.weights - start.weights)
    scores = start.scores + length * (newton.scores - start.scores)
    point = Point(weights, scores)
    return ClassFit(point, _objective(system, sign, point), step)


def _best_length(system: System, sign: Array, start: Point, newton: Point) -> float:
    """Minimise the objective along the step, by bisection of its derivative on [0, 1]."""
    xp = namespace(sign)
    change = newton.scores - start.scores
    # The penalty at start + t (newton - start) is a quadratic of t with these coefficients.
    start_start = float(system.inner(start, start))
    start_newton = float(system.inner(start, newton))
    newton_newton = float(system.inner(newton, newton))
    low = 0.0
    high = 1.0
    for _ in range(BISECTIONS):
        t = 0.5 * (low + high)
        shortfall = xp.clip(1.0 - sign * (start.scores + t * change), min=0.0)
        penalty_slope = -(1 - t) * start_start + (1 - 2 * t) * start_newton + t * newton_newton
        slope = penalty_slope - float((shortfall * sign) @ change) / system.ridge
        if slope > 0:
            high = t
        else:
            low = t
    return 0.5 * (low + high)
