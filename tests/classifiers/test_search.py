from __future__ import annotations

import numpy as np

from featx.classifiers.choice import choose_value
from featx.linear.cross_validation import CVScores

SCORES = CVScores(
    accuracy=np.array([[0.5, 0.9, 0.9, 0.9, 0.7], [0.5, 0.9, 0.9, 0.9, 0.7]]),
    loss=np.array([[0.9, 0.4, 0.5, 0.6, 2.0], [0.9, 0.5, 0.4, 0.4, 2.0]]),
)


def test_logistic_regression_takes_the_least_log_loss_not_one_of_equal_accuracies() -> None:
    assert choose_value("logreg", SCORES) == 1


def test_the_svm_takes_the_middle_of_equal_accuracies() -> None:
    assert choose_value("svm", SCORES) == 2
