from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from featx.classifiers.knn import fit_neighbours
from featx.classifiers.majority import fit_majority
from featx.classifiers.mlp import MLP
from featx.classifiers.to_arrays import to_arrays
from featx.linear.fit import fit_linear
from featx.models.array_classifier import CALIBRATIONS, Opaque, compute_softmax


def make_rows(classes: int = 3) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    random = np.random.default_rng(0)
    y = np.arange(60) % classes
    return (random.normal(size=(classes, 7))[y] * 2 + random.normal(size=(60, 7))).astype(np.float32), y


def fit(kind: str, X: NDArray[np.float32], y: NDArray[np.intp]) -> Any:
    if kind == "mlp":
        return make_pipeline(StandardScaler(), MLP()).fit(X, y)
    if kind == "knn":
        return fit_neighbours(X, y, k=5)
    if kind == "dummy":
        return fit_majority(y, X.shape[1])
    return fit_linear(X, y, kind, 0.1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_arrays_choose_the_class_that_the_fitted_classifier_chooses(kind: str, classes: int) -> None:
    X, y = make_rows(classes)
    fitted = fit(kind, X, y)
    chosen, probabilities = to_arrays(fitted).predict(X)
    assert np.array_equal(chosen, fitted.predict(X))
    assert probabilities.sum(axis=1) == pytest.approx(1)
    if kind == "mlp":
        assert probabilities == pytest.approx(fitted.predict_proba(X), abs=1e-5)


def test_the_inverse_temperature_changes_how_sure_but_never_what() -> None:
    X, y = make_rows()
    classifier = to_arrays(fit("svm", X, y))
    sharper = replace(classifier, inverse_temperature=5.0)
    assert np.array_equal(classifier.predict(X)[0], sharper.predict(X)[0])
    assert sharper.predict(X)[1].max(axis=1).mean() > classifier.predict(X)[1].max(axis=1).mean()


def test_scores_of_views_are_averaged() -> None:
    X, y = make_rows()
    classifier = to_arrays(fit("logreg", X, y))
    views = np.stack([X, X[::-1]], axis=1)
    mean = (classifier.scores(X) + classifier.scores(X[::-1])) / 2
    assert np.array_equal(classifier.predict(views)[0], mean.argmax(axis=1))


def test_any_scikit_learn_classifier_predicts_with_or_without_probabilities_of_its_own() -> None:
    X, y = make_rows()
    sure = Opaque(LinearSVC().fit(X, y)).predict(X)
    assert set(np.unique(sure[1])) == {0, 1}
    assert np.array_equal(sure[1].argmax(axis=1), sure[0])
    prior = Opaque(DummyClassifier(strategy="prior").fit(X, y))
    assert prior.predict(X)[1] == pytest.approx(1 / 3)
    assert prior.predict(np.stack([X, X], axis=1))[1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e300])
def test_probabilities_are_those_of_scipy_bit_for_bit(scale: float) -> None:
    scores = np.random.default_rng(7).normal(size=(50, 9)) * scale
    assert np.array_equal(compute_softmax(scores), softmax(scores, axis=1))
