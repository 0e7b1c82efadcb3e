"""Linear classifiers on scaled features: one factorisation, then every C and both losses.

Objectives, in the terms of scikit-learn, x being the scaled columns:

- logreg: |w|^2 / 2 + C sum log-loss, intercept not penalised, multinomial (two classes: one score).
  `LogisticRegression`.
- svm: (|w|^2 + b^2) / 2 + C sum max(0, 1 - y f)^2, one class against the rest. `LinearSVC` on centred columns: the
  intercept is penalised, and belongs to the mean of the training rows, so that shifting all features changes nothing.

Weights multiply the losses. Those of rows, scikit-learn's `sample_weight`, say how often a row counts, so means and
deviations of columns take them, too, and the intercept of the SVM belongs to the weighted mean: a weight of 2 is the
row twice, 0 a row that is not there. Those of classes, `class_weight`, leave the columns as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, RequestError, unknown
from featx.linear.lapack import (
    Array,
    cast,
    make_contiguous,
    namespace,
    one_thread,
    require_finite,
    send_like,
    to_numpy,
)
from featx.linear.lbfgs import History, Solution, refine
from featx.linear.losses import build_loss
from featx.linear.many_rows.blocks import prepare_rows
from featx.linear.many_rows.cost import FINAL_PASSES, count_threads, takes_passes
from featx.linear.many_rows.newton import Effort, Guess, solve_rows
from featx.linear.objective import Objective
from featx.linear.options import TIGHT, SolverOptions, Start
from featx.linear.spaces import (
    PARETO,
    Scaling,
    Space,
    Targets,
    build_space,
    compute_column_basis,
    encode_labels,
    fit_scaling,
    to_column_weights,
)
from featx.linear.svm_newton import solve_svm
from featx.linear.svm_systems import build_system
from featx.linear.weighting import WeightedLabels, drop_zero_rows, split_labels, weigh_targets

LINEAR_KINDS = ("logreg", "svm")
# Multiplications that a class may spend on second moments in each Newton step of the SVM.
MAX_MOMENT_COST = 4e7
# The first solution along C has no earlier one to vouch for it, so its gradient must be smaller by this factor.
FIRST_TOLERANCE = 0.1
# Warm starts: C rises by this step from where C times the largest second moment is about this small.
WARM_START_STEP = 10.0
WARM_START_LIMIT = 100.0
MAX_WARM_STARTS = 20
# On many rows, solutions on the way to a C may be as rough as this.
WARM_TOLERANCE = 1e-2


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
        Steps, summed over every C on the way.
    """

    kind: str
    classes: NDArray[np.generic]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    n_iter: int

    @property
    def start(self) -> Start:
        """The model as something to begin from."""
        return Start(*self.fold_scaling())

    def fold_scaling(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (k, d) and intercept (k,) that take unscaled features."""
        weights = self.weights / self.scale
        return weights, self.intercept - weights @ self.mean

    def decision_function(self, x: Array) -> NDArray[np.float64]:
        """Score rows (n, d) for every class: (n, k), or (n, 1) where there are two."""
        scaled = Scaling(self.mean, self.scale).apply(to_numpy(x), "float64")
        return np.asarray(scaled @ self.weights.T + self.intercept)

    def predict(self, x: Array) -> NDArray[np.generic]:
        """Choose the class of each row of x (n, d)."""
        return self.classes[choose_codes(self.decision_function(x).T)]


def choose_codes(scores: Array) -> NDArray[np.int64]:
    """Choose the class index of every column of scores (k, n), or by sign of (1, n)."""
    scores = to_numpy(scores)
    codes = scores[0] > 0 if len(scores) == 1 else scores.argmax(axis=0)
    return np.asarray(codes, dtype=np.int64)


class PathPoint(NamedTuple):
    """The solution at one C: weights (k, r + 1) float64 on coordinates, intercept last, and the steps taken."""

    c: float
    weights: Array
    n_iter: int


def solve_path(
    kind: str, space: Space, targets: Targets, values: Sequence[float], options: SolverOptions
) -> Iterator[PathPoint]:
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
    options : SolverOptions

    Raises
    ------
    UnknownName
        If `kind` is neither of those two.
    RequestError
        If a C is not positive and finite.
    """
    require_kind(kind)
    require_positive(values)
    # A numpy float64 would turn every float32 product that it meets into float64.
    values = [float(c) for c in values]
    if kind == "svm" and _uses_newton(space, targets, options):
        return _newton_path(space, targets, values, options)
    return _lbfgs_path(kind, space, targets, values, options)


def _uses_newton(space: Space, targets: Targets, options: SolverOptions) -> bool:
    """Say whether the SVM is solved by exact Newton steps, class by class, or by products for all classes at once."""
    if options.svm_solver != "auto":
        return options.svm_solver == "newton"
    if targets.class_weights is not None and options.tolerance > TIGHT.tolerance:
        # Classes then share no factorisation, which pays only for the last digits (measured: eight times as long).
        return False
    n, r = space.coordinates.shape
    return space.gram is not None or n * r * r < MAX_MOMENT_COST


def _newton_path(
    space: Space, targets: Targets, values: Sequence[float], options: SolverOptions
) -> Iterator[PathPoint]:
    system = build_system(space, shares_weights=targets.class_weights is None)
    signs = targets.signs(space.coordinates, "float64")
    loss_weights = targets.loss_weights("svm")
    if loss_weights is not None:
        of_every_score = np.broadcast_to(loss_weights, signs.shape).copy()
        loss_weights = send_like(of_every_score, signs, "float64")
    weights = system.zeros(len(signs))
    for c in values:
        weights, steps = solve_svm(system.with_c(c, "float64"), signs, weights, options.tolerance, loss_weights)
        yield PathPoint(c, system.to_coordinates(weights), steps)


def _lbfgs_path(
    kind: str, space: Space, targets: Targets, values: Sequence[float], options: SolverOptions
) -> Iterator[PathPoint]:
    exact = _build_objective(kind, space, targets, "float64")
    rough = _build_objective(kind, space, targets, "float32")
    xp = namespace(exact.z)
    zeros = xp.zeros((targets.n_scores, 1), dtype=xp.float64, device=exact.z.device)
    solution = Solution(zeros * exact.z[0], zeros * exact.z[:, 0], 0.0, 0)
    history = History()
    first_options = replace(options, tolerance=FIRST_TOLERANCE * options.tolerance)
    for c in values:
        step_options = options if history.pairs else first_options
        solution = refine(replace(rough, c=c), replace(exact, c=c), solution, step_options, history)
        yield PathPoint(c, solution.weights, solution.n_iter)


def _build_objective(kind: str, space: Space, targets: Targets, dtype: str) -> Objective:
    z, squares = space.with_intercept(dtype)
    penalty = namespace(z).ones_like(squares)
    if kind == "logreg":
        penalty[-1] = 0.0
    # Products run twice as fast with the transpose laid out; in float64 there are too few of them to pay for it.
    transpose = make_contiguous(z.T) if dtype == "float32" else z.T
    return Objective(z, transpose, squares, penalty, build_loss(kind, targets, z), c=1.0)


def list_warm_starts(c: float, squares: Array) -> list[float]:
    """List rising values that end in c: from zero, a large C is reached soonest by tens; squares are (r,)."""
    largest = float(namespace(squares).amax(squares)) if len(squares) else 0.0
    values = [c]
    while values[0] * largest > WARM_START_LIMIT and len(values) < MAX_WARM_STARTS:
        values.insert(0, values[0] / WARM_START_STEP)
    return values


def fit_linear(
    x: Array,
    labels: Array | WeightedLabels,
    kind: str = "logreg",
    c: float = 1.0,
    options: SolverOptions = TIGHT,
    power: float | None = PARETO,
) -> LinearModel:
    """Fit one classifier at one C, tightly.

    Parameters
    ----------
    x : (n, d) float32 or float64
        A numpy array, or a torch tensor on any device.
    labels : (n,) any dtype, or WeightedLabels
    kind : str
        "logreg" or "svm".
    c : float
        Inverse strength of the penalty.
    options : SolverOptions
    power : float or None
        How columns are scaled, see `compute_scale`. None only centres, which changes nothing but the SVM's intercept.

    Returns
    -------
    LinearModel

    Raises
    ------
    DataError
        If x holds NaN or infinity, there is only one class, or a weight of a row is negative or not finite.
    UnknownName
        If `kind` is neither of those two.
    RequestError
        If c or the weight of a class is not positive and finite.
    """
    require_finite(x)
    labels, weighting = split_labels(labels)
    x, labels, row_weights = drop_zero_rows(x, labels, weighting)
    targets = weigh_targets(require_classes(encode_labels(labels)), weighting, row_weights)
    scaling = fit_scaling(x, power, row_weights)
    require_positive([c])
    if takes_passes(x, targets.n_scores, options):
        return _fit_many_rows(x, targets, scaling, Fit(kind, c, options))
    with one_thread():
        space = build_space(x, scaling, options.space, row_weights)
        points = list(solve_path(kind, space, targets, list_warm_starts(c, space.squares), options))
        last = points[-1]
        weights = to_column_weights(last.weights[:, :-1], space, x, scaling)
    return LinearModel(
        kind=kind,
        classes=targets.classes,
        mean=to_numpy(scaling.mean),
        scale=to_numpy(scaling.scale),
        weights=to_numpy(weights),
        intercept=to_numpy(last.weights[:, -1]),
        n_iter=max(1, sum(point.n_iter for point in points)),
    )


class Fit(NamedTuple):
    """What is asked of a fit beside its rows."""

    kind: str
    c: float
    options: SolverOptions


def _fit_many_rows(x: Array, targets: Targets, scaling: Scaling, fit: Fit) -> LinearModel:
    with one_thread():
        threads = count_threads()
        basis = compute_column_basis(x, scaling, threads)
        rows = prepare_rows(fit.kind, x, targets, scaling, basis, threads)
        values = [fit.c]
        if fit.options.start is None:
            values = list_warm_starts(fit.c, rows.squares)
        guess = Guess(rows.place_start(fit.options.start))
        effort = Effort(fit.options.report, FINAL_PASSES[fit.kind])
        steps = 0
        for c in values:
            options = fit.options if c == fit.c else replace(fit.options, tolerance=WARM_TOLERANCE)
            solution = solve_rows(rows, float(c), guess, options, effort)
            guess = Guess(solution.weights, solution.moments)
            steps += solution.n_iter
        weights = guess.weights
        slopes = to_numpy(weights[:, :-1] @ cast(basis, "float64").T)
    return LinearModel(
        kind=fit.kind,
        classes=targets.classes,
        mean=to_numpy(scaling.mean),
        scale=to_numpy(scaling.scale),
        weights=slopes,
        intercept=to_numpy(weights[:, -1]),
        n_iter=max(1, steps),
    )


def require_kind(kind: str) -> None:
    """Refuse any other kind than those two with an UnknownName error."""
    if kind not in LINEAR_KINDS:
        raise unknown("linear classifier", kind, LINEAR_KINDS)


def require_positive(values: Sequence[float]) -> None:
    """Refuse values of C that are not positive and finite with a RequestError."""
    if not all(0 < c < float("inf") for c in values):
        raise RequestError(f"C = {[float(c) for c in values]}: every value must be positive and finite")


def require_classes(targets: Targets) -> Targets:
    """Refuse labels of fewer than two classes with a DataError."""
    if len(targets.classes) < 2:
        rows = len(targets.codes)
        training_rows = "training row has" if rows == 1 else "training rows have"
        raise DataError(f"the {rows} {training_rows} one class only, '{targets.classes[0]}': need two")
    return targets
