from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import make_moons
from sklearn.utils.estimator_checks import parametrize_with_checks

from featx.classifiers.mlp import MLP, compute_gradients, compute_logits, draw_weights


@parametrize_with_checks([MLP(hidden=32, epochs=60, dropout=0.1)])
def test_it_is_a_scikit_learn_estimator(estimator: MLP, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def test_it_learns_a_boundary_that_no_line_can_draw() -> None:
    X, y = make_moons(400, noise=0.1, random_state=0)
    model = MLP(dropout=0.0, learning_rate=1e-2).fit(X.astype(np.float32), y)
    assert model.score(X.astype(np.float32), y) > 0.97


def test_it_stops_early() -> None:
    X, y = make_moons(200, noise=0.5, random_state=0)
    assert MLP(epochs=500, patience=3, learning_rate=1e-2).fit(X, y).n_iter_ < 100


def test_probabilities_sum_to_one() -> None:
    X, y = make_moons(100, random_state=0)
    assert MLP(epochs=3).fit(X, y).predict_proba(X).sum(axis=1) == pytest.approx(1)


def test_gradients_are_the_slopes_of_the_loss() -> None:
    random = np.random.default_rng(0)
    weights = [weight.astype(np.float64) for weight in draw_weights((7, 5, 3), random)]
    X = random.standard_normal((20, 7))
    y = random.integers(0, 3, 20)
    slopes = compute_gradients(weights, X, y, np.ones((20, 5)))  # type: ignore[arg-type]

    def loss() -> float:
        probabilities = softmax(compute_logits(weights, X), axis=1)  # type: ignore[arg-type]
        return float(-np.log(probabilities[np.arange(20), y]).mean())

    for weight, slope in zip(weights, slopes, strict=True):
        for place in np.ndindex(weight.shape):
            kept = weight[place]
            weight[place] = kept + 1e-6
            above = loss()
            weight[place] = kept - 1e-6
            below = loss()
            weight[place] = kept
            assert slope[place] == pytest.approx((above - below) / 2e-6, abs=1e-6)


def test_dropout_keeps_the_size_of_what_it_lets_through() -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((300, 20)).astype(np.float32)
    y = random.integers(0, 2, 300)
    scores = [MLP(dropout=dropout, epochs=30).fit(X, y).decision_function(X) for dropout in (0.0, 0.5)]
    assert np.abs(scores[0]).mean() > np.abs(scores[1]).mean() > 0, "dropout regularises"


def test_weighted_gradients_are_those_of_repeated_rows() -> None:
    random = np.random.default_rng(0)
    weights = draw_weights((7, 5, 3), random)
    X = random.standard_normal((6, 7)).astype(np.float32)
    y = np.array([0, 1, 2, 0, 1, 2])
    counts = np.array([1, 3, 0, 2, 1, 5])
    repeated = X.repeat(counts, axis=0), y.repeat(counts)
    scale = np.ones((6, 5), np.float32)
    expected = compute_gradients(weights, *repeated, scale.repeat(counts, axis=0))
    normalised = (counts / counts.mean()).astype(np.float32)
    for slope, wanted in zip(compute_gradients(weights, X, y, scale, normalised), expected, strict=True):
        np.testing.assert_allclose(slope, wanted, atol=1e-6)


def test_equal_weights_train_the_same_network_and_a_heavy_class_is_found_more_often() -> None:
    X, y = make_moons(300, noise=0.6, random_state=0)
    plain = MLP(epochs=10).fit(X, y)
    even = MLP(epochs=10).fit(X, y, np.full(300, 0.3))
    assert all(map(np.array_equal, plain.weights_, even.weights_))
    heavy = MLP(epochs=10).fit(X, y, np.where(y == 1, 20.0, 1.0))
    assert (heavy.predict(X) == 1).mean() > (plain.predict(X) == 1).mean() + 0.1
