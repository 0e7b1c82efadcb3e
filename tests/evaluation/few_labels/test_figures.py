"""The interval over draws, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from featx.evaluation.few_labels.figures import Point, halve_interval


@pytest.mark.parametrize("draws", [2, 3, 10, 50])
def test_the_interval_is_student_s(draws: int) -> None:
    accuracies = np.random.default_rng(draws).uniform(0.4, 0.6, draws)
    low, high = stats.t.interval(0.95, draws - 1, accuracies.mean(), stats.sem(accuracies))
    point = Point(5, 50, tuple(accuracies.tolist()), ({"C": 0.1},) * draws)
    values = point.to_dict()
    assert point.half == pytest.approx((high - low) / 2, rel=1e-9)
    assert values["mean"] == pytest.approx(accuracies.mean(), abs=1e-6)
    if draws > 2:
        assert (values["low"], values["high"]) == pytest.approx((low, high), abs=1e-6)


def test_one_draw_has_no_interval_and_bounds_are_shares() -> None:
    assert halve_interval([0.5]) is None
    assert Point(1, 3, (0.5,), ({"C": 0.1},)).to_dict()["low"] is None
    wide = Point(1, 3, (0.9, 1.0), ({"C": 0.1},) * 2).to_dict()
    assert (wide["low"], wide["high"]) == (pytest.approx(0.95 - 12.7062 * 0.05, abs=1e-4), 1.0)


def test_equal_draws_have_an_interval_of_no_width() -> None:
    assert halve_interval([0.5, 0.5, 0.5]) == 0.0
