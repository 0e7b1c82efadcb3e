"""Choose C on many rows: begin in the middle of the grid, and leave a direction when the score has fallen twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from featx.classifiers.choice import rate_values
from featx.classifiers.grids import list_beyond
from featx.linear.lapack import require_finite
from featx.linear.many_rows.cost import Problem
from featx.linear.many_rows.newton import Effort
from featx.linear.many_rows.path import PathSetting, gather_rows, map_folds, open_fold
from featx.linear.options import Start
from featx.linear.val_scores import CVScores, stack_scores
from featx.linear.weighting import WeightedLabels
from featx.types import Fold, Matrix

FALLS = 2
"""A direction is left when so many values in it are worse than the best one."""


@dataclass
class Visits:
    """Values of C that were tried on one fold, by their place in the rising list of all that may be.

    Attributes
    ----------
    scores : dict of int to CVScores
        Numbers, as arrays of no axis.
    rates : dict of int to float
        What they are chosen by, the greatest best.
    """

    scores: dict[int, CVScores] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)

    @property
    def best(self) -> int:
        """Place of the best value; of equals the lowest."""
        return max(sorted(self.rates), key=lambda place: self.rates[place])

    def add(self, name: str, place: int, scores: CVScores) -> None:
        """Take in what one value scored."""
        self.scores[place] = scores
        self.rates[place] = float(rate_values(name, stack_scores([stack_scores([scores])]))[0])


@dataclass(frozen=True)
class TriedValues:
    """What a path tried.

    Attributes
    ----------
    values : list of float
        Rising.
    scores : CVScores
        (folds, values) each.
    starts : dict of float to Start
        Solutions of the first fold, by C.
    """

    values: list[float]
    scores: CVScores
    starts: dict[float, Start]


def visit_values(
    name: str, values: Sequence[float], score: Callable[[float], CVScores], beyond: bool = True
) -> tuple[list[float], Visits]:
    """Try values from below the middle upwards, then downwards, until the score has fallen twice on either side.

    Two below the middle come first, since a solution is found soonest from that of a smaller C: where the middle
    is best, these are the two that are worse on its lower side.

    Parameters
    ----------
    name : str
        "logreg" or "svm": says what is chosen by.
    values : sequence of float
        The usual grid, rising.
    score : callable
        Takes a C.
    beyond : bool
        Whether values beyond an edge of the grid are tried where the best one lies there.

    Returns
    -------
    ladder : list of float
        All values that may be tried, rising.
    visits : Visits
        By place in the ladder.
    """
    below = list_beyond(values, at_highest=False) if beyond else []
    above = list_beyond(values, at_highest=True) if beyond else []
    ladder = [*below, *values, *above]
    lowest = len(below)
    highest = lowest + len(values) - 1
    start = max(lowest, lowest + len(values) // 2 - FALLS)
    visits = Visits()
    place = start
    while place < len(ladder) and is_worth_trying(visits, place, highest):
        visits.add(name, place, score(ladder[place]))
        place += 1
    place = start - 1
    while place >= 0 and is_worth_trying(visits, -place, -lowest, sign=-1):
        visits.add(name, place, score(ladder[place]))
        place -= 1
    return ladder, visits


def is_worth_trying(visits: Visits, place: int, edge: int, sign: int = 1) -> bool:
    """Say whether the next value outwards may still be the best; places rise outwards (their sign is changed below).

    Beyond the edge of the usual grid only where the best value lies there or beyond.
    """
    if not visits.rates:
        return True
    best = sign * visits.best
    return place - best <= FALLS and (place <= edge or best >= edge)


def search_path(
    values: Sequence[float], X: Matrix, labels: WeightedLabels, folds: Sequence[Fold], setting: PathSetting
) -> TriedValues:
    """Try values on the first fold, and on the others those that were worth it there.

    Parameters
    ----------
    values : sequence of float
        The usual grid, rising.
    X : (n, d) float
    labels : WeightedLabels
    folds : sequence of (train rows, validation rows)
    setting : PathSetting

    Raises
    ------
    DataError
        If X holds NaN or infinity, or the training rows of a fold have only one class.
    """
    require_finite(X)
    problem = Problem(len(X), X.shape[1], len(np.unique(labels.labels)), len(folds))
    effort = Effort(setting.options.report, problem.count_search_passes(setting.kind))
    rows = gather_rows(X, labels, setting.power, setting.threads)
    first = open_fold(rows, folds[0], setting, effort=effort)
    ladder, visits = visit_values(setting.kind, values, first.score)
    tried = sorted(visits.scores)
    starts = first.list_starts()
    of_first = stack_scores([visits.scores[place] for place in tried])
    # It takes as much memory as the others.
    del first

    def score(fold: Fold, setting: PathSetting) -> CVScores:
        path = open_fold(rows, fold, setting, effort)
        return stack_scores([path.score(ladder[place]) for place in tried])

    of_others = map_folds(score, folds[1:], rows, setting)
    return TriedValues([ladder[place] for place in tried], stack_scores([of_first, *of_others]), starts)
