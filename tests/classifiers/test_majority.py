"""The dummy is scikit-learn's, which says how frequent classes are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from featx.classifiers.majority import fit_majority, search_majority
from featx.classifiers.to_arrays import to_arrays
from featx.errors import DataError
from featx.features.splits import make_folds
from featx.linear.weighting import Weighting


@pytest.mark.parametrize("classes", [2, 5])
def test_probabilities_and_class_are_scikit_learns(classes: int) -> None:
    y = np.minimum(np.random.default_rng(0).integers(0, 2 * classes, 70), classes - 1)
    X = np.random.default_rng(1).normal(size=(70, 3))
    reference = DummyClassifier(strategy="prior").fit(X, y)
    model = fit_majority(y, 3)
    chosen, probabilities = to_arrays(model).predict(X)
    assert probabilities == pytest.approx(reference.predict_proba(X))
    assert chosen.tolist() == model.predict(X).tolist() == reference.predict(X).tolist()


def test_the_cross_validated_accuracy_is_the_share_of_the_most_frequent_class() -> None:
    y = np.array([0] * 30 + [1] * 60 + [2] * 10)
    fitted = search_majority(y, 4, make_folds(y, np.arange(100), 42))
    assert fitted.cv_accuracy == pytest.approx(0.6)
    assert fitted.params == {}


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="one class only"):
        fit_majority(np.zeros(5, int), 2)


def test_weights_of_rows_are_how_often_they_count_and_those_of_classes_change_nothing() -> None:
    y = np.array([0] * 30 + [1] * 60 + [2] * 10)
    counts = np.where(y == 2, 5, np.arange(100) % 2)
    weighting = Weighting({0: 99.0}, counts.astype(float))
    weighted = search_majority(y, 4, [(np.arange(100), np.arange(100))], weighting=weighting)
    repeated = fit_majority(y.repeat(counts), 4)
    assert weighted.model.intercept == pytest.approx(repeated.intercept)
    assert weighted.model.predict(np.zeros((1, 4))) == [2]
    assert weighted.cv_accuracy == pytest.approx(0.1), "what is stated is not weighted"
