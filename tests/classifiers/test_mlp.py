from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.utils.estimator_checks import parametrize_with_checks

from featx.classifiers.mlp import MLP


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
