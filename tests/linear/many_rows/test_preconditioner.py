"""Moments of rows inside the margin stand for the Hessian of the SVM, class by class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featx.linear.many_rows import preconditioner as module
from featx.linear.many_rows.blocks import ManyRows, prepare_rows
from featx.linear.many_rows.newton import Effort, Guess, solve_rows
from featx.linear.many_rows.preconditioner import build_classwise, count_worthwhile_products, sum_moments
from featx.linear.options import SEARCH, TIGHT
from featx.linear.spaces import compute_column_basis, encode_labels, fit_scaling


@pytest.fixture(scope="module")
def rows() -> ManyRows:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 4, 5000)
    scales = np.arange(1, 31) ** -0.5
    x = ((draw.standard_normal((5000, 30)) + draw.standard_normal((4, 30))[y]) * scales).astype(np.float32)
    scaling = fit_scaling(x)
    return prepare_rows("svm", x, encode_labels(y), scaling, compute_column_basis(x, scaling), 1)


def test_moments_of_all_rows_inside_are_the_hessian(rows: ManyRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_A_COLUMN", 1e6)
    state = rows.evaluate(solve_rows(rows, 0.1, Guess(rows.zeros()), SEARCH, Effort()).weights, 0.1)
    classwise = build_classwise(sum_moments(rows, state), rows.penalty, 0.1)
    assert classwise is not None
    direction = np.random.default_rng(1).standard_normal(state.weights.shape)
    product = rows.hessian_product(state, direction, 0.1)
    assert np.allclose(classwise.solve(product), direction, rtol=1e-3, atol=1e-3)
    assert np.allclose(classwise.energy(direction), (direction * product).sum(axis=1, keepdims=True), rtol=1e-4)


def test_moments_do_not_depend_on_threads(rows: ManyRows) -> None:
    state = rows.evaluate(rows.zeros(), 0.1)
    assert np.array_equal(sum_moments(rows, state), sum_moments(replace(rows, threads=3), state))


def test_moments_save_products_and_move_no_solution(rows: ManyRows, monkeypatch: pytest.MonkeyPatch) -> None:
    near = solve_rows(rows, 10.0, Guess(rows.zeros()), TIGHT, Effort()).weights
    monkeypatch.setattr(module, "LEAST_PRODUCTS", np.inf)
    without = solve_rows(rows, 30.0, Guess(near), TIGHT, Effort())
    assert without.moments is None
    monkeypatch.setattr(module, "LEAST_PRODUCTS", 4)
    with_moments = solve_rows(rows, 30.0, Guess(near), TIGHT, Effort())
    assert with_moments.moments is not None
    assert with_moments.passes < without.passes
    assert np.linalg.norm(with_moments.weights - without.weights) < 1e-4 * np.linalg.norm(without.weights)


def test_no_moments_where_classes_are_coupled_or_memory_is_short(
    rows: ManyRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert np.isfinite(count_worthwhile_products(rows))
    monkeypatch.setattr(module, "MOMENTS_BYTES", 1000)
    assert count_worthwhile_products(rows) == np.inf
