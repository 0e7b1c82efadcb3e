from __future__ import annotations

import pytest

from featx.finetuning.schedule import TrainingSchedule


def test_rates_rise_to_the_peak_and_fall_to_a_hundredth() -> None:
    schedule = TrainingSchedule(10, 3, 0, warm_up=2)
    factors = [schedule.lr_factor(place / 4) for place in range(41)]
    peak = factors.index(max(factors))
    assert peak == 8
    assert 0 < factors[0] < 0.01
    assert factors[:9] == sorted(factors[:9])
    assert factors[8:] == sorted(factors[8:], reverse=True)
    assert factors[-1] == pytest.approx(0.01)


def test_a_training_shorter_than_its_warm_up_begins_at_the_peak() -> None:
    assert TrainingSchedule(2, 3, 0, warm_up=5).lr_factor(0) == 1.0
