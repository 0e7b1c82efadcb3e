from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from featx.classifiers.calibration import calibrate
from featx.classifiers.temperature import fit_inverse_temperature
from featx.classifiers.to_arrays import to_arrays
from featx.evaluation.metrics import calibration_error
from featx.features.splits import make_folds
from featx.linear.fit import fit_linear
from featx.linear.weighting import Weighting


def test_the_inverse_temperature_that_made_the_labels_is_found_again() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(20_000, 4))
    cumulated = softmax(3.0 * scores, axis=1).cumsum(axis=1)
    y = (random.random((20_000, 1)) > cumulated).sum(axis=1)
    assert fit_inverse_temperature(scores, y) == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("classes", [2, 5])
def test_calibrated_margins_are_better_probabilities_of_new_rows(classes: int) -> None:
    random = np.random.default_rng(1)
    y = random.integers(0, classes, 3000)
    X = (random.normal(size=(classes, 30))[y] * 0.5 + random.normal(size=(3000, 30))).astype(np.float32)
    train, new = slice(0, 1000), slice(1000, None)
    folds = make_folds(y[train], np.arange(1000), 42)
    model = fit_linear(X[train], y[train], "svm", 0.01)
    errors = []
    for inverse_temperature in (1.0, calibrate("svm", 0.01, X[train], y[train], folds)):
        predicted, probabilities = to_arrays(model, inverse_temperature).predict(X[new])
        errors.append(calibration_error(probabilities.max(axis=1), predicted == y[new]))
    assert errors[1] < 0.04
    assert errors[1] < errors[0] / 2


def test_a_class_that_a_fold_never_saw_does_not_stop_it() -> None:
    X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    y = np.repeat([0, 1, 2], 10)
    rows = np.arange(30)
    folds = [(rows[:20], rows[20:]), (rows[::2], rows[1::2])]
    assert calibrate("svm", 0.1, X, y, folds) > 0
    assert calibrate("svm", 0.1, X, y, folds[:1]) == 1.0


def test_rows_count_in_the_temperature_as_often_as_they_weigh() -> None:
    random = np.random.default_rng(2)
    scores = random.normal(size=(400, 3))
    y = random.integers(0, 3, 400)
    counts = random.integers(0, 4, 400)
    weighted = fit_inverse_temperature(scores, y, counts.astype(float))
    assert weighted == pytest.approx(fit_inverse_temperature(scores.repeat(counts, axis=0), y.repeat(counts)), rel=1e-3)


def test_the_price_of_a_class_leaves_the_likelihood_alone() -> None:
    random = np.random.default_rng(3)
    y = random.integers(0, 2, 600)
    X = (random.normal(size=(2, 10))[y] + random.normal(size=(600, 10))).astype(np.float32)
    folds = make_folds(y, np.arange(600), 42)
    rows = np.ones(600)
    plain = calibrate("svm", 0.01, X, y, folds)
    assert calibrate("svm", 0.01, X, y, folds, Weighting(rows=rows)) == pytest.approx(plain)
    # Both classes are as frequent, so weights that are nearly the same change nearly nothing.
    assert calibrate("svm", 0.01, X, y, folds, Weighting({0: 1.01})) == pytest.approx(plain, rel=0.05)
