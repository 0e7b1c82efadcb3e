from __future__ import annotations

from featx.ladder.procedure import predict_seconds


def test_the_estimate_costs_all_trials_again_in_every_fold_and_a_fit() -> None:
    assert predict_seconds([(1.0, 2.0), (5.0, 3.0)], 5) == 5 * (2 + 3 + 3)
    assert predict_seconds([], 5) == 0
