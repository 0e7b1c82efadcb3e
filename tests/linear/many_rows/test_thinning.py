"""Products with the Hessian on the rows that hold the curvature stand for products on all rows."""

from __future__ import annotations

import numpy as np
import pytest

from featx.linear.many_rows.blocks import ManyRows, prepare_rows
from featx.linear.many_rows.thinning import choose_chances, thin_rows
from featx.linear.spaces import compute_column_basis, encode_labels, fit_scaling
from featx.linear.weighting import Weighting, weigh_targets


def prepare(kind: str, classes: int, spread: float, weighted: bool = False) -> ManyRows:
    draw = np.random.default_rng(0)
    y = draw.integers(0, classes, 6000)
    x = (draw.standard_normal((6000, 8)) + spread * draw.standard_normal((classes, 8))[y]).astype(np.float32)
    row_weights = draw.uniform(0.5, 2.0, 6000) if weighted else None
    weighting = Weighting(None, row_weights)
    targets = weigh_targets(encode_labels(y), weighting, row_weights)
    scaling = fit_scaling(x, weights=row_weights)
    return prepare_rows(kind, x, targets, scaling, compute_column_basis(x, scaling), 1)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_few_rows_give_nearly_the_product_of_all_where_most_are_certain(classes: int, weighted: bool) -> None:
    rows = prepare("logreg", classes, spread=2.0, weighted=weighted)
    draw = np.random.default_rng(1)
    # One step from zero, made long: most rows are certain, and right.
    weights = -rows.evaluate(rows.zeros(), 1.0).gradient * 3e-3
    state = rows.evaluate(weights, 1.0)
    thinned, of_thinned = thin_rows(rows, state)
    assert len(thinned.z) < 0.6 * len(rows.z)
    direction = draw.standard_normal(weights.shape)
    whole = rows.hessian_product(state, direction, 1.0)
    part = thinned.hessian_product(of_thinned, direction, 1.0)
    assert np.linalg.norm(part - whole) < 0.05 * np.linalg.norm(whole)


def test_rows_stay_where_none_is_certain_and_where_classes_are_solved_one_by_one() -> None:
    rows = prepare("logreg", 5, spread=0.1)
    assert thin_rows(rows, rows.evaluate(rows.zeros(), 1.0))[0] is rows
    rows = prepare("svm", 5, spread=2.0)
    assert thin_rows(rows, rows.evaluate(rows.zeros(), 1.0))[0] is rows


def test_rows_of_much_curvature_are_taken_and_others_by_theirs() -> None:
    chances = choose_chances(np.array([1000.0] * 98 + [10.0, 1000.0, 5.0], np.float32))
    assert (chances[:98] == 1).all()
    assert chances[98] == pytest.approx(0.01)
    assert chances[100] == pytest.approx(0.005)
    assert (choose_chances(np.zeros(3, np.float32)) == 1).all()
