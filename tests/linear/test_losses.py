"""Derivatives of every loss are those of its values, by differences."""

from __future__ import annotations

import numpy as np
import pytest

from featx.linear.losses import Loss, build_loss
from featx.linear.spaces import encode_labels

STEP = 1e-6
LOSSES = [("logreg", 2), ("logreg", 4), ("svm", 2), ("svm", 4)]


def loss_and_scores(kind: str, classes: int) -> tuple[Loss, np.ndarray]:
    targets = encode_labels(np.arange(12) % classes)
    scores = np.random.default_rng(0).normal(size=(targets.n_scores, 12))
    return build_loss(kind, targets, like=scores), scores


def value(loss: Loss, scores: np.ndarray) -> float:
    return float(loss.evaluate(scores).value.sum())


@pytest.mark.parametrize(("kind", "classes"), LOSSES)
def test_the_residual_is_the_slope_of_the_value(kind: str, classes: int) -> None:
    loss, scores = loss_and_scores(kind, classes)
    residual = loss.evaluate(scores).residual
    for place in np.ndindex(scores.shape):
        change = np.zeros_like(scores)
        change[place] = STEP
        slope = (value(loss, scores + change) - value(loss, scores - change)) / (2 * STEP)
        assert residual[place] == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(("kind", "classes"), LOSSES)
def test_the_hessian_product_is_the_slope_of_the_residual(kind: str, classes: int) -> None:
    loss, scores = loss_and_scores(kind, classes)
    change = np.random.default_rng(1).normal(size=scores.shape)
    above = loss.evaluate(scores + STEP * change).residual
    below = loss.evaluate(scores - STEP * change).residual
    product = loss.hessian_product(loss.evaluate(scores), change)
    np.testing.assert_allclose(product, (above - below) / (2 * STEP), atol=1e-6)


@pytest.mark.parametrize(("kind", "classes"), LOSSES)
def test_the_mean_curvature_is_that_of_the_hessians_diagonal(kind: str, classes: int) -> None:
    loss, scores = loss_and_scores(kind, classes)
    point = loss.evaluate(scores)
    for row, curvature in enumerate(loss.mean_curvature(point)[:, 0]):
        change = np.zeros_like(scores)
        change[row] = 1.0
        diagonal = loss.hessian_product(point, change)[row]
        assert curvature == pytest.approx(diagonal.mean())


@pytest.mark.parametrize(("kind", "classes"), LOSSES)
@pytest.mark.parametrize("size", [1e4, 1e-9])
def test_scores_of_any_size_give_finite_numbers(kind: str, classes: int, size: float) -> None:
    loss, scores = loss_and_scores(kind, classes)
    point = loss.evaluate(size * scores)
    assert np.isfinite(point.value).all()
    assert np.isfinite(point.residual).all()
    assert (loss.mean_curvature(point) >= 0).all()


def test_a_loss_keeps_its_relative_accuracy_where_it_is_tiny() -> None:
    targets = encode_labels(np.array([0, 1, 2]))
    scores = 40.0 * np.eye(3)
    point = build_loss("logreg", targets, like=scores).evaluate(scores)
    # log(1 + 2 exp(-40)), which one minus a probability in float64 would give as 0.
    assert float(point.value[0, 0]) == pytest.approx(3 * 2 * np.exp(-40.0), rel=1e-12)
