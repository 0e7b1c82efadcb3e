"""The optimiser ends where the gradient vanishes, and a line search lowers the objective as Wolfe's conditions ask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featx.linear.lbfgs import History, Solution, minimise
from featx.linear.losses import build_loss
from featx.linear.objective import SLOPE_REDUCTION, Objective, search_line
from featx.linear.options import SolverOptions
from featx.linear.spaces import build_space, encode_labels, fit_scaling
from tests.linear.problems import Case, make_problem


def make_objective(kind: str, classes: int) -> tuple[Objective, Solution]:
    """The objective of a small problem at C = 0.1, and zeros to start from."""
    x, labels = make_problem(Case(60, 20, classes, 0.1, 59))
    targets = encode_labels(labels)
    z, squares = build_space(x, fit_scaling(x)).with_intercept("float64")
    penalty = np.ones(len(squares))
    penalty[-1] = float(kind == "svm")
    objective = Objective(z, z.T, squares, penalty, build_loss(kind, targets, z), c=0.1)
    weights = np.zeros((targets.n_scores, len(squares)))
    return objective, Solution(weights, weights @ z.T, 0.0, 0)


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_gradient_vanishes_at_the_solution(kind: str, classes: int) -> None:
    objective, start = make_objective(kind, classes)
    solution = minimise(objective, start, SolverOptions(1e-14), History())
    first = np.abs(objective.gradient(objective.evaluate(start.weights, start.scores))).max()
    last = np.abs(
        objective.gradient(objective.evaluate(solution.weights, solution.weights @ objective.transpose))
    ).max()
    assert last < 1e-5 * first
    assert solution.n_iter < 100


@pytest.mark.parametrize("kind", ["logreg", "svm"])
def test_a_history_of_a_nearby_c_saves_steps(kind: str) -> None:
    objective, start = make_objective(kind, 4)
    options = SolverOptions(1e-12)
    history = History()
    near = minimise(objective, start, options, history)
    doubled = replace(objective, c=0.2)
    warm = minimise(doubled, near, options, history)
    cold = minimise(doubled, start, options, History())
    assert warm.n_iter < cold.n_iter
    values = [doubled.evaluate(solution.weights, solution.scores).objective.sum() for solution in (warm, cold)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_the_limit_on_steps_is_kept() -> None:
    objective, start = make_objective("logreg", 4)
    assert minimise(objective, start, SolverOptions(0.0, max_iter=3), History()).n_iter == 3


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_a_search_flattens_the_slope_whatever_the_length_of_the_direction(kind: str, length: float) -> None:
    objective, start = make_objective(kind, 2)
    state = objective.evaluate(start.weights, start.scores)
    gradient = objective.gradient(state)
    direction = -length * gradient / np.linalg.norm(gradient)
    end = search_line(objective, state, direction, direction @ objective.transpose)
    assert float(end.objective.sum()) < float(state.objective.sum())
    slope_at_end = float((objective.gradient(end) * direction).sum())
    assert abs(slope_at_end) <= SLOPE_REDUCTION * abs(float((gradient * direction).sum()))


def test_a_search_uphill_stays_where_it_is() -> None:
    objective, start = make_objective("logreg", 2)
    state = objective.evaluate(start.weights, start.scores)
    uphill = objective.gradient(state)
    end = search_line(objective, state, uphill, uphill @ objective.transpose)
    np.testing.assert_array_equal(end.weights, state.weights)
