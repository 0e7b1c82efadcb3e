from __future__ import annotations

import math

import pytest

from featx.evaluation.metrics import wilson
from featx.ladder.procedure import interval_of_folds, predict_seconds


def test_the_interval_of_pooled_folds_is_that_of_fewer_images() -> None:
    low, high = interval_of_folds(90, 100, 5)
    assert (low, high) == wilson(72, 80)
    plain_low, plain_high = wilson(90, 100)
    assert low < plain_low < 0.9 < plain_high < high
    # The variance is 1 + 1 / (K - 1) times as large, as far as it is small.
    width = (high - low) / (plain_high - plain_low)
    assert width == pytest.approx(math.sqrt(1.25), rel=0.02)


def test_the_interval_of_all_right_stays_within_one() -> None:
    low, high = interval_of_folds(40, 40, 5)
    assert high == 1
    assert 0.85 < low < 1


def test_the_estimate_costs_all_trials_again_in_every_fold_and_a_fit() -> None:
    assert predict_seconds([(1.0, 2.0), (5.0, 3.0)], 5) == 5 * (2 + 3 + 3)
    assert predict_seconds([], 5) == 0
