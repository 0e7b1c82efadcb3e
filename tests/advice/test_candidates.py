from __future__ import annotations

import numpy as np
import pytest

from featx.advice.candidates import Candidate, Tried, climb, join_repeats, narrow_values
from featx.advice.tasks import SideBySide
from featx.advice.wording import describe_rung
from featx.classifiers.search import ScoredValues
from featx.linear.val_scores import CVScores
from featx.selection.trials import Trial

BASE = np.linspace(0.7, 0.9, 10)
NOISE = np.array([1, -1, 2, -2, 0, 1, -1, 2, -2, 0]) / 100


def tried(layers: str, gain: float, views: int = 1, seconds: float | None = None) -> Tried:
    """A candidate that gains so much on the first one, give or take two points a fold."""
    trial = Trial("svm", {}, BASE + gain + NOISE * (gain != 0), None, 5, 0.0)
    return Tried(Candidate(tuple(layers.split("+")), "avg", views), trial, seconds)


def test_a_dearer_candidate_is_advised_only_beyond_one_standard_error() -> None:
    """The error of each gain is 100 * sqrt(0.000222 * (1 / 10 + 1 / 4)) = 0.88 points."""
    rungs, advised = climb([tried("a", 0), tried("a+b", 0.008), tried("a+c", 0.01)], 100, cached=True)
    assert [rung.kept for rung in rungs] == [True, False, True]
    assert rungs[1].standard_error == pytest.approx(0.882, abs=1e-3)
    assert (rungs[0].gain, rungs[1].gain) == (None, pytest.approx(0.8))
    assert advised.candidate.layer == "a+c"


def test_gains_are_on_what_was_advised_until_then() -> None:
    rungs, advised = climb([tried("a", 0), tried("a+b", 0.03), tried("a+b", 0.03, views=6)], 100, cached=True)
    assert rungs[2].gain == pytest.approx(0)
    assert not rungs[2].kept
    assert advised.candidate.views == 1


def test_what_a_step_is_worth_is_said_with_its_price() -> None:
    rungs, _ = climb([tried("a", 0), tried("a", 0.031, views=6, seconds=240)], 300, cached=False)
    said = "a (avg, 6 views): +3.1 +- 0.9 points for about 4 min of extraction, measured on 300 of 900 training images"
    assert describe_rung(rungs[1], 900) == said
    assert describe_rung(rungs[1], 300).endswith(" measured on all 300 training images")


def test_values_of_c_are_the_good_one_and_those_below() -> None:
    values = [0.01, 0.1, 1.0, 10.0]
    assert narrow_values(values, 1.0, 1) == [0.1, 1.0]
    assert narrow_values(values, 0.01, 1) == [0.01]


def test_repeats_share_the_c_that_is_best_over_all_of_them() -> None:
    first = ScoredValues([0.1, 1, 10], CVScores(np.array([[0.5, 0.6, 0.9]] * 2), np.array([[3, 2, 1]] * 2)), False)
    second = ScoredValues([1, 10], CVScores(np.array([[0.7, 0.8]] * 2), np.array([[1, 5]] * 2)), False)
    trial = join_repeats("logreg", [first, second], [1, 10])
    assert trial.params == {"C": 1}
    assert trial.accuracies.tolist() == [0.6, 0.6, 0.7, 0.7]
    assert trial.folds == 2


def multiply(number: int, factor: int, jobs: int) -> tuple[int, bool]:
    return number * factor, jobs > 0


@pytest.mark.parametrize("numbers", [10, 10**9])
def test_results_come_in_the_order_of_the_tasks(numbers: int) -> None:
    done: list[tuple[int, int]] = []
    with SideBySide(numbers) as side_by_side:
        for factor in (2, 3):
            tasks = [(multiply, (number, factor)) for number in range(5)]
            results = side_by_side.run(tasks, lambda count, total: done.append((count, total)))
            assert results == [(number * factor, True) for number in range(5)]
    assert done == [(count, 5) for count in (1, 2, 3, 4, 5)] * 2
