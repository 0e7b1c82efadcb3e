"""Both systems give the same Newton step, whichever rows they factorise."""

from __future__ import annotations

import numpy as np
import pytest

from featx.linear.spaces import build_space, encode_labels, fit_scaling
from featx.linear.svm_newton import duality_gap, solve_svm
from featx.linear.svm_systems import Kernel, Primal, System, build_system
from tests.linear.problems import Case, make_problem


def systems(shape: tuple[int, int]) -> tuple[System, System, np.ndarray]:
    """The kernel and the primal system of the same rows at C = 0.1, and the signs (k, n)."""
    x, labels = make_problem(Case(*shape, 3, 0.1, 53))
    scaling = fit_scaling(x)
    kernel = build_system(build_space(x, scaling, "rows"))
    primal = build_system(build_space(x, scaling, "columns"))
    assert isinstance(kernel, Kernel)
    assert isinstance(primal, Primal)
    signs = encode_labels(labels).signs(x, "float64")
    return kernel.with_c(0.1, "float64"), primal.with_c(0.1, "float64"), signs


@pytest.mark.parametrize("shape", [(40, 60), (60, 20)], ids=["wide", "tall"])
@pytest.mark.parametrize("share", [0.2, 0.8], ids=["few rows inside", "most rows inside"])
def test_kernel_and_primal_steps_give_the_same_scores(shape: tuple[int, int], share: float) -> None:
    kernel, primal, signs = systems(shape)
    inside = np.random.default_rng(0).random(shape[0]) < share
    by_rows = kernel.solve_newton(signs[0], inside)
    by_columns = primal.solve_newton(signs[0], inside)
    assert by_rows is not None
    assert by_columns is not None
    np.testing.assert_allclose(by_rows.scores, by_columns.scores, atol=1e-8)
    np.testing.assert_allclose(by_rows.scores, kernel.point_at(by_rows.weights).scores, atol=1e-8)


@pytest.mark.parametrize("shape", [(40, 60), (60, 20)], ids=["wide", "tall"])
def test_both_systems_end_at_the_same_optimum_with_no_duality_gap(shape: tuple[int, int]) -> None:
    scores = []
    kernel, primal, signs = systems(shape)
    for system in (kernel, primal):
        weights, steps = solve_svm(system, signs, system.zeros(len(signs)), tolerance=1e-12)
        assert 0 < steps < 20
        assert duality_gap(system, signs, weights).max() < 1e-12
        scores.append(system.point_at(weights).scores)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)


def test_weights_on_coordinates_give_the_scores_of_the_system() -> None:
    x, _ = make_problem(Case(40, 60, 3, 0.1, 53))
    space = build_space(x, fit_scaling(x), "rows")
    system = build_system(space)
    weights = np.random.default_rng(0).normal(size=(3, 40))
    on_coordinates = system.to_coordinates(weights)
    z, _ = space.with_intercept("float64")
    np.testing.assert_allclose(on_coordinates @ z.T, system.point_at(weights).scores, atol=1e-8)
