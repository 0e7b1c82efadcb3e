from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featx.features.splits import LabelledRows
from featx.ladder.bench import Bench, Rows
from featx.ladder.candidates import Candidate, FeatureChoice, list_poolings
from featx.ladder.climb import CLOSING, Climb, Measured, Rung, Step, compare_common, find_best
from featx.ladder.report import show_rung
from featx.selection.trials import Trial

FOLDS = 5


def measured(layers: str, accuracy: float, base: int = 0, views: int = 1) -> Measured:
    """A candidate whose folds all have one accuracy."""
    candidate = Candidate(FeatureChoice(base, tuple(layers.split("+")), "avg", views), "svm")
    return Measured(candidate, Trial("svm", {}, np.full(FOLDS, accuracy), None, FOLDS, 1.0))


def climb_to(reached: Measured, *others: Measured) -> Climb:
    rows = Rows(np.arange(4), LabelledRows(np.array([0, 0, 1, 1]), np.arange(4)), 1, "")
    climb = Climb(Bench(), rows)
    climb.at[reached.candidate.features.base] = reached
    for each in (reached, *others):
        climb.trials[each.candidate] = each.trial
    return climb


def test_what_leads_by_more_than_half_a_point_is_taken_in_the_end() -> None:
    ahead = measured("layer3+layer4", 0.906, views=6)
    climb = climb_to(measured("layer4", 0.9), ahead)
    rung = climb.close()
    assert rung is not None
    assert rung.step.kind == CLOSING
    assert rung.is_kept
    assert climb.top == ahead


def test_what_leads_by_less_is_not_worth_more_layers_or_views() -> None:
    reached = measured("layer4", 0.9)
    climb = climb_to(reached, measured("layer3+layer4", 0.904))
    assert climb.close() is None
    assert climb.top == reached


def test_what_a_gain_is_of_is_what_both_reached_on_the_folds_they_share() -> None:
    """One view is cross-validated three times here, six views once: of the first folds there is no gain."""
    one_view = measured("layer4", 0.98)
    of_repeats = np.repeat([0.976, 0.983, 0.984], FOLDS)
    one_view = replace(one_view, trial=replace(one_view.trial, accuracies=of_repeats))
    ahead = measured("layer4", 0.986, views=6)
    climb = climb_to(one_view, ahead)
    rung = climb.close()
    assert rung is not None
    row = show_rung(rung, None, ["tiny"], None)
    assert (row.figure, row.before) == (0.986, 0.976)
    assert row.gain == pytest.approx(1)
    back = Rung(Step("cuts", 0), one_view, ahead, compare_common(ahead.trial, one_view.trial), False, 1)
    shown = show_rung(back, None, ["tiny"], None)
    assert (shown.figure, shown.before) == (0.976, 0.986)
    assert shown.gain == pytest.approx(-1)


def test_of_equals_the_first_is_the_best() -> None:
    first = measured("layer3", 0.9)
    second = measured("layer4", 0.9)
    trials = {each.candidate: each.trial for each in (first, second)}
    assert find_best(trials) == first


def test_bases_are_ranked_by_what_they_reached_and_then_in_their_order() -> None:
    climb = climb_to(measured("layer4", 0.8, base=0))
    climb.at[1] = measured("layer4", 0.9, base=1)
    climb.at[2] = measured("layer4", 0.9, base=2)
    assert climb.rank_bases() == [1, 2, 0]
    assert climb.top == climb.at[1]


def test_poolings_suit_the_layouts() -> None:
    assert list_poolings(["map", "map"]) == ("avg", "avg+max", "pyramid")
    assert list_poolings(["map_last", "vector"]) == ("avg", "avg+max", "pyramid")
    assert list_poolings(["tokens", "tokens"]) == ("avg", "cls")
    assert list_poolings(["vector"]) == ("avg",)
