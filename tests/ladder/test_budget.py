from __future__ import annotations

from pathlib import Path

from featx.evaluation.records import record_file
from featx.ladder.budget import LADDER, Budget, has_climbed


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_step_that_would_overrun_the_budget_is_not_begun() -> None:
    clock = Clock()
    budget = Budget(100, clock)
    clock.now = 30
    assert budget.left == 70
    assert budget.begin("cheap", 70)
    assert not budget.begin("dear", 70.1)
    assert (budget.steps["dear"].predicted, budget.steps["dear"].left) == (70.1, 70)


def test_a_step_without_a_prediction_is_begun_whatever_is_left() -> None:
    clock = Clock()
    budget = Budget(1, clock)
    clock.now = 500
    assert budget.begin("first", None)
    assert not budget.begin("second", 0.1)


def test_a_run_that_is_repeated_follows_what_was_decided_whatever_the_clock_says(cache: Path) -> None:
    slow = Clock()
    first = Budget(100, slow)
    first.remember(cache, {"rows": "a"})
    assert first.begin("views", 60)
    slow.now = 90
    first.end("views")
    assert not first.begin("mlp", 60)
    quick = Clock()
    second = Budget(100, quick)
    second.remember(cache, {"rows": "a"})
    assert second.begin("views", 1000)
    quick.now = 1
    second.end("views")
    assert not second.begin("mlp", 1)
    assert second.steps == first.steps
    assert second.steps["views"].seconds == 90


def test_a_step_that_was_killed_is_begun_again_and_its_seconds_are_those_of_the_run_that_ended_it(cache: Path) -> None:
    killed = Budget(100, Clock())
    killed.remember(cache, {"rows": "a"})
    killed.begin("views", 60)
    clock = Clock()
    again = Budget(100, clock)
    again.remember(cache, {"rows": "a"})
    clock.now = 99
    assert again.begin("views", 60)
    clock.now = 104.5
    again.end("views")
    assert again.steps["views"].seconds == 5.5


def test_another_request_decides_for_itself(cache: Path) -> None:
    clock = Clock()
    first = Budget(10, clock)
    first.remember(cache, {"rows": "a", "budget": 10})
    assert not first.begin("views", 60)
    other = Budget(100, clock)
    other.remember(cache, {"rows": "a", "budget": 100})
    assert other.begin("views", 60)


def test_a_damaged_record_of_decisions_is_passed_over(cache: Path) -> None:
    clock = Clock()
    first = Budget(10, clock)
    first.remember(cache, {"rows": "a"})
    assert not first.begin("views", 60)
    file = record_file(cache, LADDER, {"rows": "a"})
    file.write_text(file.read_text().replace('"is_begun": false', '"is_begun": true'))
    again = Budget(10, clock)
    again.remember(cache, {"rows": "a"})
    assert again.steps == {}
    assert not again.begin("views", 60)


def test_a_ladder_was_climbed_once_all_that_it_began_has_ended(cache: Path) -> None:
    assert not has_climbed(cache, "a", "tiny"), "without any results"
    budget = Budget(100, Clock())
    budget.remember(cache, {"rows": "a", "bases": [{"name": "tiny", "weights": None}], "budget": 100})
    assert not has_climbed(cache, "a", "tiny")
    budget.begin("cuts 0", None)
    assert not has_climbed(cache, "a", "tiny"), "a run that was stopped is worth going on with"
    budget.end("cuts 0")
    assert not budget.begin("views 0", 1000)
    assert has_climbed(cache, "a", "tiny")
    assert not has_climbed(cache, "b", "tiny"), "of other images"
    assert not has_climbed(cache, "a", "hog"), "of another base"


def test_a_damaged_ladder_was_not_climbed(cache: Path) -> None:
    stated = {"rows": "a", "bases": [{"name": "tiny"}]}
    budget = Budget(100, Clock())
    budget.remember(cache, stated)
    budget.begin("cuts 0", None)
    budget.end("cuts 0")
    file = record_file(cache, LADDER, stated)
    for text in (file.read_text().replace("tiny", "tinx"), "[]", "{}", '{"request": 1}', "["):
        file.write_text(text)
        assert not has_climbed(cache, "a", "tiny")
