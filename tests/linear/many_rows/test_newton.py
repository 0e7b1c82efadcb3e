"""Passes over blocks of rows solve what the solvers for few rows solve, on any number of threads, numpy or torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from featx.linear.fit import fit_linear
from featx.linear.many_rows.blocks import ManyRows, divide_rows, prepare_rows
from featx.linear.many_rows.cost import MANY, has_many_rows, takes_passes
from featx.linear.many_rows.newton import Effort, Guess, centre_classes, solve_rows
from featx.linear.options import SEARCH, TIGHT, SolverOptions
from featx.linear.spaces import Targets, compute_column_basis, encode_labels, fit_scaling
from featx.linear.weighting import WeightedLabels, Weighting, weigh_targets

OTHER_WAY = SolverOptions(1e-10, space="columns")
"""Asks for the solvers for few rows."""


def make_rows(n: int = 9000, d: int = 24, k: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = random.permutation(np.arange(n) % k)
    x = random.standard_normal((n, d)) + 0.5 * random.standard_normal((k, d))[y]
    return (x * np.arange(1, d + 1) ** -0.5).astype(np.float32), y


def prepare(kind: str, x: object, targets: Targets, threads: int = 1) -> ManyRows:
    scaling = fit_scaling(x, weights=targets.row_weights)
    return prepare_rows(kind, x, targets, scaling, compute_column_basis(x, scaling), threads)


def solve(rows: ManyRows, c: float, options: SolverOptions = TIGHT) -> np.ndarray:
    weights = solve_rows(rows, c, Guess(rows.zeros()), options, Effort()).weights
    return rows.to_start(weights).weights


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [2, 12])
@pytest.mark.parametrize("c", [1e-4, 0.1, 10.0])
def test_solutions_are_those_of_the_solvers_for_few_rows(kind: str, classes: int, c: float) -> None:
    x, y = make_rows(n=3000, k=classes)
    rows = prepare(kind, x, encode_labels(y))
    ours = solve_rows(rows, c, Guess(rows.zeros()), TIGHT, Effort()).weights
    theirs = centre_classes(rows, rows.place_start(fit_linear(x, y, kind, c, OTHER_WAY).start))
    # A large C leaves the weights that matter least open, so these are compared where it is small.
    excess = rows.evaluate_exactly(ours, c).objective / rows.evaluate_exactly(theirs, c).objective - 1
    assert float(excess.max()) < 1e-7
    assert relative_error(ours, theirs) < (1e-4 if c < 1 else 1e-2)


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [2, 5])
def test_weighted_solutions_are_those_of_the_solvers_for_few_rows(kind: str, classes: int) -> None:
    x, y = make_rows(n=2000, k=classes)
    row_weights = np.random.default_rng(1).uniform(0.2, 3.0, len(y))
    weighting = Weighting({0: 3.0, 1: 0.5}, row_weights)
    targets = weigh_targets(encode_labels(y), weighting, row_weights)
    ours = solve(prepare(kind, x, targets), 0.05)
    theirs = fit_linear(x, WeightedLabels(y, weighting), kind, 0.05, OTHER_WAY).start.weights
    assert relative_error(ours, theirs) < 1e-4


def test_the_search_tolerance_tells_scores_to_a_part_of_a_thousand() -> None:
    x, y = make_rows()
    rows = prepare("logreg", x, encode_labels(y))
    exact = solve(rows, 0.03)
    rough = solve(rows, 0.03, SEARCH)
    assert relative_error(rough, exact) < 0.05
    agreement = ((x @ rough.T).argmax(axis=1) == (x @ exact.T).argmax(axis=1)).mean()
    assert agreement > 0.99


@pytest.mark.parametrize("kind", ["logreg", "svm"])
def test_solutions_do_not_depend_on_the_number_of_threads(kind: str) -> None:
    x, y = make_rows(n=30_000, d=4, k=20)
    targets = encode_labels(y)
    alone = prepare(kind, x, targets, threads=1)
    assert len(alone.blocks) > 2
    shared = replace(alone, threads=3)
    assert np.array_equal(solve(alone, 0.01, SEARCH), solve(shared, 0.01, SEARCH))


def test_blocks_cover_all_rows_once() -> None:
    for n, columns, scores in ((1, 1, 1), (10_000, 5000, 1), (50_000, 256, 100), (70_001, 64, 1000)):
        rows = np.concatenate([np.arange(n)[block] for block in divide_rows(n, columns, scores, on_gpu=False)])
        assert np.array_equal(rows, np.arange(n))


@pytest.mark.parametrize("kind", ["logreg", "svm"])
def test_products_with_the_hessian_are_differences_of_gradients(kind: str) -> None:
    x, y = make_rows(n=2000, k=4)
    rows = prepare(kind, x, encode_labels(y))
    random = np.random.default_rng(0)
    weights = 0.3 * random.standard_normal(rows.zeros().shape)
    direction = random.standard_normal(weights.shape)
    state = rows.evaluate_exactly(weights, 0.1)
    step = 1e-6
    ahead = rows.evaluate_exactly(weights + step * direction, 0.1)
    expected = (ahead.gradient - state.gradient) / step
    assert relative_error(rows.hessian_product(state, direction, 0.1), expected) < 1e-3
    assert float(((ahead.objective - state.objective) / step).sum()) == pytest.approx(
        float((state.gradient * direction).sum()), rel=1e-3
    )
    assert relative_error(rows.evaluate(weights, 0.1).gradient, state.gradient) < 1e-5


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [2, 5])
def test_tensors_are_solved_as_arrays_are(kind: str, classes: int) -> None:
    x, y = make_rows(n=2000, k=classes)
    targets = encode_labels(y)
    of_array = solve(prepare(kind, x, targets), 0.05)
    of_tensor = solve(prepare(kind, torch.from_numpy(x), targets), 0.05)
    assert relative_error(of_tensor, of_array) < 1e-4


def test_a_start_costs_fewer_passes_and_leads_to_the_same_solution() -> None:
    x, y = make_rows()
    rows = prepare("logreg", x, encode_labels(y))
    cold = solve_rows(rows, 0.1, Guess(rows.zeros()), TIGHT, Effort())
    near = rows.to_start(solve_rows(rows, 0.1, Guess(rows.zeros()), SEARCH, Effort()).weights)
    warm = solve_rows(rows, 0.1, Guess(rows.place_start(near)), TIGHT, Effort())
    assert warm.passes < cold.passes
    assert relative_error(warm.weights, cold.weights) < 1e-4


def test_a_start_is_the_same_solution_in_other_coordinates() -> None:
    x, y = make_rows(n=2000, k=3)
    rows = prepare("svm", x, encode_labels(y))
    weights = np.random.default_rng(0).standard_normal(rows.zeros().shape)
    assert relative_error(rows.place_start(rows.to_start(weights)), weights) < 1e-5
    assert not rows.place_start(rows.to_start(weights[:2])).any()


def test_passes_are_reported_as_they_are_done() -> None:
    x, y = make_rows(n=2000, k=3)
    rows = prepare("logreg", x, encode_labels(y))
    reports: list[tuple[int, int]] = []
    effort = Effort(lambda done, total: reports.append((done, total)), expected=5)
    solution = solve_rows(rows, 0.1, Guess(rows.zeros()), SEARCH, effort)
    assert [done for done, _ in reports] == list(range(1, solution.passes + 1))
    assert all(total >= done for done, total in reports)


def test_only_large_problems_take_passes_and_only_where_nothing_else_was_asked_for() -> None:
    rows = int(MANY) // 1000
    assert has_many_rows(rows, 100, 10)
    assert not has_many_rows(rows - 1, 100, 10)
    assert not has_many_rows(5000, 62_720, 17)
    x = np.zeros((rows, 100), np.float32)
    assert takes_passes(x, 10, TIGHT)
    assert not takes_passes(x, 10, OTHER_WAY)
    assert not takes_passes(x, 10, replace(TIGHT, svm_solver="newton"))


@pytest.mark.parametrize("kind", ["logreg", "svm"])
def test_fits_of_many_rows_are_as_tight_as_those_of_few(kind: str) -> None:
    x, y = make_rows(n=20_000, d=30, k=40)
    assert takes_passes(x, 40, TIGHT)
    ours = fit_linear(x, y, kind, 0.003)
    theirs = fit_linear(x, y, kind, 0.003, OTHER_WAY)
    assert relative_error(ours.weights, theirs.weights) < 1e-4
    difference = ours.intercept - theirs.intercept
    # What is added to all scores of a softmax makes no difference.
    shift = difference.mean() if kind == "logreg" else 0.0
    assert np.abs(difference - shift).max() < 1e-4
