"""Linear classifiers on scaled features: one factorisation, then every C and both losses.

Objectives, in the terms of scikit-learn, x being the scaled columns:

- logistic: |w|^2 / 2 + C sum log-loss, intercept free, multinomial (two classes: one score). `LogisticRegression`.
- svm: (|w|^2 + b^2) / 2 + C sum max(0, 1 - y f)^2, one class against the rest. `LinearSVC` on centred columns: the
  intercept is penalised, and belongs to the mean of the training rows, so that shifting all features changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, RequestError, unknown
from featx.linear import svm_newton as hinge
from featx.linear.lapack import Array, cast, contiguous, namespace, one_thread, require_finite, to_numpy
from featx.linear.lbfgs import Curvature, Effort, Solution, refine
from featx.linear.losses import Loss, hinge_loss, logistic_loss
from featx.linear.objective import Problem
from featx.linear.spaces import (
    PARETO,
    Scaling,
    Space,
    Targets,
    column_space,
    columns_from,
    encode,
    fit_scaling,
    prefers_rows,
    products,
    row_space,
)
from featx.linear.svm_systems import system_of

KINDS = ("logreg", "svm")
# Enough for cross-validated accuracies, within 0.3 points of the limit at every C; and for the model that is kept.
ROUGH = Effort(2e-6)
TIGHT = Effort(1e-10)
# Multiplications that a class may spend on second moments in each Newton step of the SVM.
FACTORISED = 4e7


@dataclass(frozen=True)
class LinearModel:
    """A fitted classifier as plain arrays.

    Attributes
    ----------
    kind : str
        "logreg" or "svm".
    classes : (k,) any dtype
    mean, scale : (d,) float64
        What to subtract from the features, and then to divide them by.
    weights : (k, d) or (1, d) float64
        One row where there are two classes.
    intercept : (k,) or (1,) float64
    n_iter : int
        Steps at every C on the way.
    """

    kind: str
    classes: NDArray[np.generic]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    n_iter: int

    def folded(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (k, d) and intercept (k,) that take features as they are, unscaled."""
        weights = self.weights / self.scale
        return weights, self.intercept - weights @ self.mean

    def decision(self, x: Array) -> NDArray[np.float64]:
        """Score rows (n, d) for every class: (n, k), or (n, 1) where there are two."""
        return np.asarray(
            Scaling(self.mean, self.scale).apply(to_numpy(x), "float64") @ self.weights.T + self.intercept
        )

    def predict(self, x: Array) -> NDArray[np.generic]:
        """Choose the class of each row of x (n, d)."""
        return self.classes[choose(self.decision(x).T)]


def choose(scores: Array) -> NDArray[np.int64]:
    """Pick the class index of every column of scores (k, n), or by sign of (1, n)."""
    scores = to_numpy(scores)
    return np.asarray(scores[0] > 0 if len(scores) == 1 else scores.argmax(axis=0), dtype=np.int64)


class PathPoint(NamedTuple):
    """The solution at one C: weights (k, r + 1) float64 on coordinates, intercept last, and the steps taken."""

    c: float
    weights: Array
    n_iter: int


def path(kind: str, space: Space, targets: Targets, values: Sequence[float], effort: Effort) -> Iterator[PathPoint]:
    """Solve for rising values of C, each from the solution before.

    Parameters
    ----------
    kind : str
        "logreg" or "svm".
    space : Space
        The training rows.
    targets : Targets
    values : sequence of float
        Rising.
    effort : Effort

    Raises
    ------
    UnknownName
        If `kind` is none of those two.
    RequestError
        If a C is not positive and finite.
    """
    if kind not in KINDS:
        raise unknown("linear classifier", kind, KINDS)
    require_positive(values)
    # A numpy float64 would turn every float32 product it meets into float64.
    values = [float(c) for c in values]
    if kind == "svm" and _pays_to_factorise(space):
        return _support_path(space, targets, values, effort)
    return _newton_path(kind, space, targets, values, effort)


def _newton_path(
    kind: str, space: Space, targets: Targets, values: Sequence[float], effort: Effort
) -> Iterator[PathPoint]:
    exact = _problem(kind, space, targets, "float64")
    rough = _problem(kind, space, targets, "float32")
    rows = len(targets.classes) if len(targets.classes) > 2 else 1
    xp = namespace(exact.z)
    nothing = xp.zeros((rows, 1), dtype=xp.float64, device=exact.z.device)
    solution = Solution(nothing * exact.z[0], nothing * exact.z[:, 0], 0.0, 0)
    known = Curvature()
    for c in values:
        # Nothing vouches for the first solution but its own gradient.
        wanted = effort if known.pairs else replace(effort, tolerance=0.1 * effort.tolerance)
        solution = refine(replace(rough, c=c), replace(exact, c=c), solution, wanted, known)
        yield PathPoint(c, solution.weights, solution.n_iter)


def _problem(kind: str, space: Space, targets: Targets, dtype: str) -> Problem:
    xp = namespace(space.coordinates)
    z = cast(space.coordinates, dtype)
    one = xp.ones_like(z[:, :1])
    squares = xp.concatenate([cast(space.squares, dtype), xp.full_like(z[0, :1], len(z))])
    penalty = xp.ones_like(squares)
    build = hinge_loss if kind == "svm" else logistic_loss
    if kind == "logreg":
        penalty[-1] = 0.0
    loss: Loss = build(targets, z)
    z = xp.concatenate([z, one], axis=1)
    # Products run twice as fast with the transpose laid out; in float64 there are too few of them to pay for it.
    across = contiguous(z.T) if dtype == "float32" else z.T
    return Problem(z, across, squares, penalty, loss, 1.0)


def _pays_to_factorise(space: Space) -> bool:
    """Say whether exact Newton steps, one a class, cost less than products of all classes at once."""
    n, r = space.coordinates.shape
    return space.gram is not None or n * r * r < FACTORISED


def _support_path(space: Space, targets: Targets, values: Sequence[float], effort: Effort) -> Iterator[PathPoint]:
    system = system_of(space)
    signs = targets.signs(space.coordinates, "float64")
    weights = system.nothing(len(signs))
    for c in values:
        weights, steps = hinge.solve(system.at(c, "float64"), signs, weights, effort.tolerance)
        yield PathPoint(c, system.to_coordinates(weights), steps)


def make_space(x: Array, scaling: Scaling, dtype: str = "float64") -> Space:
    """Rotate rows into their row or column space, whichever is smaller.

    Parameters
    ----------
    x : (n, d) float32 or float64
    scaling : Scaling
        Fitted on x.
    dtype : str
        Of a column space; a row space is always float64.
    """
    if prefers_rows(*x.shape):
        return row_space(products(x, scaling))
    return column_space(scaling.apply(x, dtype))


def ladder(c: float, space: Space) -> list[float]:
    """List rising values that end in c: from zero, a large C is reached soonest by tens."""
    xp = namespace(space.squares)
    top = float(xp.amax(space.squares)) if len(space.squares) else 0.0
    rungs = [c]
    while rungs[0] * top > 100.0 and len(rungs) < 20:
        rungs.insert(0, rungs[0] / 10.0)
    return rungs


def fit_linear(
    x: Array,
    labels: Any,
    kind: str = "logreg",
    c: float = 1.0,
    effort: Effort | None = None,
    power: float | None = PARETO,
) -> LinearModel:
    """Fit one classifier at one C, tightly.

    Parameters
    ----------
    x : (n, d) float32 or float64
        A numpy array, or a torch tensor on any device.
    labels : (n,) any dtype
    kind : str
        "logreg" or "svm".
    c : float
    effort : Effort, optional
    power : float or None
        How columns are scaled, see `safe_scale`. None only centres, which changes nothing but the SVM's intercept.

    Raises
    ------
    DataError
        If x holds NaN or infinity, or the labels are of one class only.
    RequestError
        If c is not positive and finite.
    """
    require_finite(x)
    targets = require_classes(encode(labels))
    scaling = fit_scaling(x, power)
    require_positive([c])
    with one_thread():
        space = make_space(x, scaling)
        points = list(path(kind, space, targets, ladder(c, space), effort or TIGHT))
    last = points[-1]
    weights = columns_from(last.weights[:, :-1], space, x, scaling)
    mean, scale, coef, bias = (to_numpy(a) for a in (scaling.mean, scaling.scale, weights, last.weights[:, -1]))
    return LinearModel(kind, targets.classes, mean, scale, coef, bias, max(1, sum(point.n_iter for point in points)))


def require_positive(values: Sequence[float]) -> None:
    """Refuse values of C that are not positive and finite with a RequestError."""
    if not all(0 < c < float("inf") for c in values):
        raise RequestError(f"C = {[float(c) for c in values]}: every value must be positive and finite")


def require_classes(targets: Targets) -> Targets:
    """Refuse labels of fewer than two classes with a DataError."""
    if len(targets.classes) < 2:
        raise DataError(f"the {len(targets.codes)} training rows have one class only, '{targets.classes[0]}': need two")
    return targets
