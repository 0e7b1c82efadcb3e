"""The squared-hinge SVM by Newton's method on its set of support vectors: exact after a few steps.

Inside a set of rows within the margin the objective is quadratic, so each step is one linear system (`systems.py`), and
once the set repeats itself the optimum is reached to the last digit. Along C the set changes little.
Sources: Mangasarian 2002, Optimization Methods and Software 17, 913-929 (finite termination); Keerthi and DeCoste 2005,
JMLR 6, 341-361 (search along the step).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from featx.linear.lapack import Array, cast, namespace, to_numpy
from featx.linear.svm_systems import Spot, System

MAX_STEPS = 50
# Above this condition number float32 would leave too few digits.
FLOAT32_CONDITION = 1e4


class Fit(NamedTuple):
    """One class at one C: the model, its objective, and the Newton steps so far."""

    spot: Spot
    objective: float
    n_iter: int


def solve(system: System, signs: Array, start: Array, tolerance: float) -> tuple[Array, int]:
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
    weights, steps = start, 0
    if tolerance > 0 and system.condition < FLOAT32_CONDITION:
        rough = system.at(0.5 / system.ridge, "float32")
        weights, steps = _all_classes(rough, cast(signs, "float32"), cast(weights, "float32"), tolerance)
        weights = cast(weights, "float64")
    late = np.flatnonzero(to_numpy(duality_gap(system, signs, weights) > tolerance))
    if not len(late):
        return weights, steps
    fixed, more = _all_classes(system, signs[late], weights[late], tolerance)
    weights = weights + 0.0
    weights[late] = fixed
    return weights, steps + more


def duality_gap(system: System, signs: Array, weights: Array) -> Array:
    """Bound how far each class is from its optimum, relative to its objective, (k,).

    With the dual point a = 2 C max(0, 1 - y f), the gap is half the squared norm of the gradient.
    """
    spot = system.spot(weights)
    short = namespace(signs).clip(1.0 - signs * spot.scores, min=0.0)
    objective = 0.5 * system.energy(spot, spot) + 0.5 / system.ridge * (short * short).sum(axis=-1)
    gradient = system.residual(weights, signs * short / system.ridge)
    return 0.5 * system.energy(gradient, gradient) / objective


def _all_classes(system: System, signs: Array, start: Array, tolerance: float) -> tuple[Array, int]:
    spot = system.spot(start)
    fits = [
        _one_class(system, sign, Spot(weights, scores), tolerance)
        for sign, weights, scores in zip(signs, spot.weights, spot.scores, strict=True)
    ]
    return namespace(signs).stack([fit.spot.weights for fit in fits]), max(fit.n_iter for fit in fits)


def _one_class(system: System, sign: Array, start: Spot, tolerance: float) -> Fit:
    fit = Fit(start, _objective(system, sign, start), 0)
    inside = sign * start.scores < 1.0
    for step in range(1, MAX_STEPS + 1):
        full = system.newton(sign, inside)
        if full is None:
            break
        before = fit
        fit = _accept(system, sign, fit, full, step)
        now = sign * fit.spot.scores < 1.0
        settled = not bool((now != inside).any())
        inside = now
        if settled or before.objective - fit.objective <= 0.01 * tolerance * fit.objective:
            break
    return fit


def _objective(system: System, sign: Array, spot: Spot) -> float:
    short = namespace(sign).clip(1.0 - sign * spot.scores, min=0.0)
    return float(0.5 * system.energy(spot, spot) + 0.5 / system.ridge * (short @ short))


def _accept(system: System, sign: Array, fit: Fit, full: Spot, step: int) -> Fit:
    """Take the whole Newton step where it lowers the objective, else the best part of it."""
    objective = _objective(system, sign, full)
    if objective <= fit.objective:
        return Fit(full, objective, step)
    length = _best_length(system, sign, fit.spot, full)
    here = fit.spot
    part = Spot(*(old + length * (new - old) for old, new in zip(here, full, strict=True)))
    return Fit(part, _objective(system, sign, part), step)


def _best_length(system: System, sign: Array, here: Spot, full: Spot) -> float:
    """Minimise the objective along the step, by bisection of its derivative on [0, 1]."""
    change = full.scores - here.scores
    start, cross, end = (float(system.energy(*pair)) for pair in ((here, here), (here, full), (full, full)))
    low, high = 0.0, 1.0
    for _ in range(20):
        t = 0.5 * (low + high)
        short = namespace(sign).clip(1.0 - sign * (here.scores + t * change), min=0.0)
        slope = -(1 - t) * start + (1 - 2 * t) * cross + t * end - float((short * sign) @ change) / system.ridge
        low, high = (low, t) if slope > 0 else (t, high)
    return 0.5 * (low + high)
