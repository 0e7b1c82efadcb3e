"""What a report draws of one classifier, held to the figures that results state and to scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_curve

from featx.evaluation.curves import f1_interval, score_positive, trace_reliability, trace_thresholds
from featx.evaluation.metrics import calibration_error
from featx.evaluation.result import HeldOutPredictions


def make_predictions(seed: int, rows: int = 400) -> tuple[np.ndarray, HeldOutPredictions]:
    """Two classes, probabilities of two digits so that many are equal."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, rows)
    positive = np.clip(0.5 + (truth - 0.5) * 0.4 + generator.normal(0, 0.25, rows), 0.01, 0.99).round(2)
    classes = (positive >= 0.5).astype(np.intp)
    return truth, HeldOutPredictions(classes, np.where(classes == 1, positive, 1 - positive).round(6))


def test_the_interval_of_f1_holds_it_and_narrows_with_images() -> None:
    truth = np.array([1] * 30 + [0] * 70)
    predicted = truth.copy()
    predicted[[0, 1, 2, 40, 41]] = 1 - predicted[[0, 1, 2, 40, 41]]
    low, high = f1_interval(27, 5)
    assert low < f1_score(truth, predicted) < high
    many_low, many_high = f1_interval(2700, 500)
    assert many_high - many_low < (high - low) / 5
    assert f1_interval(0, 9)[0] == pytest.approx(0, abs=1e-12)
    assert f1_interval(9, 0)[1] == pytest.approx(1)


def test_the_interval_of_f1_covers_it_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    recall, precision_odds = 0.8, 0.1
    true_f1 = 2 * recall * 0.3 / (recall * 0.3 + 0.7 * precision_odds + 0.3)
    covered = 0
    for _ in range(400):
        truth = generator.random(200) < 0.3
        predicted = np.where(truth, generator.random(200) < recall, generator.random(200) < precision_odds)
        right = int((truth & predicted).sum())
        wrong = int((truth ^ predicted).sum())
        low, high = f1_interval(right, wrong)
        covered += low <= true_f1 <= high
    assert 0.92 <= covered / 400 <= 0.99


def test_reliability_has_the_calibration_error_that_results_state() -> None:
    truth, predictions = make_predictions(1)
    bins = trace_reliability(truth, predictions)
    assert sum(each.images for each in bins) == len(truth)
    gap = sum(each.images * abs(each.confidence - each.accuracy) for each in bins) / len(truth)
    assert gap == pytest.approx(calibration_error(predictions.confidence, predictions.classes == truth), abs=1e-5)
    assert all(each.ci_low <= each.accuracy <= each.ci_high for each in bins)
    assert all(each.low < each.confidence <= each.high for each in bins)


@pytest.mark.parametrize("positive", [0, 1])
def test_thresholds_give_the_roc_curve_of_scikit_learn(positive: int) -> None:
    truth, predictions = make_predictions(2)
    scores = score_positive(predictions, positive)
    curve = trace_thresholds(truth, scores, positive)
    alarms, found, thresholds = roc_curve(truth == positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(np.array(curve.false_positives) / curve.negatives, alarms)
    np.testing.assert_allclose(np.array(curve.true_positives) / curve.positives, found)
    np.testing.assert_allclose(curve.thresholds[1:], thresholds[1:])
    assert curve.true_positives[0] == curve.false_positives[0] == 0
