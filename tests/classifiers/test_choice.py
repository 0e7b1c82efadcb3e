"""Which value of a hyper-parameter is chosen, and whether values beyond a grid are worth a try."""

from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.choice import (
    average_folds,
    choose_middle,
    choose_value,
    find_edge,
    is_worth_extending,
    rate_values,
)
from featx.errors import RequestError
from featx.linear.val_scores import CVScores

SCORES = CVScores(
    accuracy=np.array([[0.5, 0.9, 0.9, 0.9, 0.7], [0.5, 0.9, 0.9, 0.9, 0.7]]),
    loss=np.array([[0.9, 0.4, 0.5, 0.6, 2.0], [0.9, 0.5, 0.4, 0.4, 2.0]]),
)
ASKED = SCORES._replace(merit=np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.2, 0.3, 0.6, 0.5]]))


def test_logistic_regression_takes_the_least_log_loss_not_one_of_equal_accuracies() -> None:
    assert choose_value("logreg", SCORES) == 1


def test_the_svm_takes_the_middle_of_equal_accuracies() -> None:
    assert choose_value("svm", SCORES) == 2


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_the_figure_that_was_asked_for_goes_before_both(name: str) -> None:
    assert choose_value(name, ASKED) == choose_middle(rate_values(name, ASKED))
    assert rate_values(name, ASKED) == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.5])
    assert choose_value(name, ASKED) == 4


def test_folds_that_do_not_define_a_figure_are_left_out_of_its_mean() -> None:
    assert average_folds(np.array([[np.nan, np.nan], [0.4, 0.5], [0.6, 0.7]])) == pytest.approx([0.5, 0.6])
    with pytest.raises(RequestError, match="not defined in any fold, since none validates on two classes"):
        average_folds(np.full((3, 2), np.nan))


def test_edges_are_the_first_and_the_last_value() -> None:
    assert [find_edge(place, 3) for place in range(3)] == ["lowest", None, "highest"]


@pytest.mark.parametrize(
    ("rates", "edge", "is_worth"),
    [
        ([1.0, 2.0, 3.0], "highest", True),
        ([1.0, 3.0, 3.0], "highest", False),
        ([3.0, 2.0, 1.0], "lowest", True),
        ([3.0, 3.0, 1.0], "lowest", False),
        ([1.0, 3.0, 1.0], None, False),
        ([1.0], "highest", False),
    ],
)
def test_a_grid_is_extended_only_where_its_edge_beats_the_neighbour(
    rates: list[float], edge: str | None, is_worth: bool
) -> None:
    assert is_worth_extending(np.array(rates), edge) is is_worth  # type: ignore[arg-type]


def test_what_is_weighted_chooses_and_what_is_not_is_stated() -> None:
    falling = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
    assert choose_value("svm", SCORES._replace(weighted_accuracy=falling)) == 0
    for name in ("logreg", "svm"):
        assert choose_value(name, ASKED._replace(weighted_merit=falling)) == 0
