"""What every classifier promises, checked on each entry of the registry."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.classifiers.registry import CLASSIFIERS, DEFAULT_CLASSIFIERS
from featx.classifiers.search import search
from featx.features.splits import make_folds

LEARNING = [name for name in CLASSIFIERS if name != "dummy"]
"""Classifiers that look at features."""


def clouds(n: int = 90, d: int = 20, classes: int = 3, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    random = np.random.default_rng(seed)
    y = np.arange(n) % classes
    centres = random.normal(size=(classes, d)) * 2
    return (centres[y] + random.normal(size=(n, d))).astype(np.float32), y


def run(name: str, X: NDArray[np.float32], y: NDArray[np.intp]) -> tuple[float, NDArray[np.intp]]:
    fitted = search([name], X, y, make_folds(y, np.arange(len(y)), 42), 42)[name]
    return fitted.cv_accuracy, fitted.model.predict(X)


@pytest.mark.parametrize("name", LEARNING)
def test_it_learns_what_can_be_learned(name: str) -> None:
    accuracy, _ = run(name, *clouds())
    assert accuracy > 0.9


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_shuffled_labels_leave_it_at_chance(name: str) -> None:
    X, y = clouds(150)
    accuracy, _ = run(name, X, np.random.default_rng(1).permutation(y))
    assert abs(accuracy - 1 / 3) < 0.15


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_request_gives_the_same_numbers(name: str) -> None:
    first, second = run(name, *clouds()), run(name, *clouds())
    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("name", LEARNING)
def test_two_classes_and_a_constant_column_are_no_trouble(name: str) -> None:
    X, y = clouds(classes=2)
    X[:, 3] = 7
    accuracy, _ = run(name, X, y)
    assert accuracy > 0.9


@pytest.mark.parametrize("name", LEARNING)
def test_the_scale_of_a_feature_does_not_matter(name: str) -> None:
    X, y = clouds()
    accuracy, _ = run(name, X * np.geomspace(1e-4, 1e4, X.shape[1], dtype=np.float32), y)
    assert accuracy > 0.9


def test_the_dummy_looks_at_no_feature() -> None:
    X, y = clouds(100)
    accuracy, predicted = run("dummy", X, np.where(y == 2, 1, y))
    assert accuracy == pytest.approx(2 / 3, abs=0.02)
    assert set(predicted.tolist()) == {1}


def test_those_that_are_compared_by_default_stay_the_three() -> None:
    assert DEFAULT_CLASSIFIERS == ("logreg", "svm", "mlp")
    assert set(DEFAULT_CLASSIFIERS) < set(CLASSIFIERS)
