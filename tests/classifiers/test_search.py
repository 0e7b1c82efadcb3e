from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.search import choose_value
from featx.linear.cross_validation import Scored, log_loss

SCORED = Scored(
    accuracy=np.array([[0.5, 0.9, 0.9, 0.9, 0.7], [0.5, 0.9, 0.9, 0.9, 0.7]]),
    loss=np.array([[0.9, 0.4, 0.5, 0.6, 2.0], [0.9, 0.5, 0.4, 0.4, 2.0]]),
)


def test_logistic_regression_takes_the_least_log_loss_not_one_of_equal_accuracies() -> None:
    assert choose_value("logreg", SCORED) == 1


def test_the_svm_takes_the_middle_of_equal_accuracies() -> None:
    assert choose_value("svm", SCORED) == 2


def test_log_loss_of_even_scores_is_that_of_guessing() -> None:
    assert log_loss(np.zeros((4, 10)), np.arange(4), np.arange(10) % 4) == pytest.approx(np.log(4))
    assert log_loss(np.zeros((1, 10)), np.arange(2), np.arange(10) % 2) == pytest.approx(np.log(2))


def test_log_loss_passes_over_classes_that_were_never_trained_on() -> None:
    scores = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    known = log_loss(scores[:, :2], np.array(["a", "c"]), np.array(["a", "c"]))
    assert log_loss(scores, np.array(["a", "c"]), np.array(["a", "c", "b"])) == pytest.approx(known)
    assert log_loss(scores, np.array(["a", "c"]), np.array(["b", "b", "b"])) == 0.0
