from __future__ import annotations

import numpy as np
import pytest

from featx.features.splits import LabelledRows
from featx.ladder.bench import Bench, Rows
from featx.ladder.climb import Climb
from featx.ladder.costs import LEAST_RATE, predict_trial


def climb_after(*measured: tuple[float, float]) -> Climb:
    bench = Bench()
    bench.measured += measured
    return Climb(bench, Rows(np.arange(2), LabelledRows(np.array([0, 1]), np.arange(2)), 1, ""))


def test_a_trial_costs_what_the_line_through_those_before_says() -> None:
    climb = climb_after((1e5, 3.0), (2e5, 4.0), (4e5, 6.0))
    assert predict_trial(climb, 10e5) == pytest.approx(2.0 + 10.0)


def test_overhead_is_not_taken_for_work() -> None:
    climb = climb_after((1e3, 4.0), (2e3, 4.0), (3e3, 4.0))
    assert predict_trial(climb, 60e3) == pytest.approx(4.0, abs=0.1)


def test_large_trials_cost_no_more_a_unit_than_the_largest_so_far() -> None:
    # The small ones met a busy moment or a lucky one: a steep line must not be drawn on.
    climb = climb_after((1e5, 0.0), (1.1e5, 1.1))
    assert predict_trial(climb, 1e6) <= 10.1


def test_before_anything_is_measured_a_machine_of_today_is_assumed() -> None:
    assert predict_trial(climb_after(), 1e6) == pytest.approx(1e6 * LEAST_RATE)
