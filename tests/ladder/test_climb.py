from __future__ import annotations

import numpy as np

from featx.features.splits import LabelledRows
from featx.ladder.bench import Bench, Rows
from featx.ladder.candidates import Candidate, FeatureChoice, list_poolings
from featx.ladder.climb import CLOSING, Climb, Measured, find_best
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
