"""What a step will cost, predicted from what was measured on the way to it."""

from __future__ import annotations

import numpy as np

from featx.ladder.candidates import LATE_CLASSIFIER, VIEWS, FeatureChoice
from featx.ladder.climb import DEEPEST, Climb, Step, find_long_pooling, list_poolings_of_views, propose

LEAST_RATE = 1e-6
"""Seconds that a unit of work takes at least: about what two cores of 2025 need."""

MLP_TIMES = 1.5
"""Times that an MLP takes as long as both linear classifiers together: 0.6 to 1 of what was measured on Flowers-17."""


def predict_trials(step: Step, climb: Climb) -> float:
    """Predict the seconds that measuring the candidates of a step takes."""
    bench = climb.bench
    if step.kind in ("views", "long views"):
        # Not extracted yet: their layers are those of one view, and their rows so many times as many.
        guessed = guess_features(step, climb)
        return sum(predict_trial(climb, bench.count_work(features, climb.rows, VIEWS)) for features in guessed)
    seconds = 0.0
    for features, classifiers in propose(step, climb):
        times = MLP_TIMES if LATE_CLASSIFIER in classifiers else 1.0
        seconds += times * predict_trial(climb, bench.count_work(features, climb.rows, features.views))
    return seconds


def predict_first_cuts(climb: Climb) -> float:
    """Predict the trials of another base's single layers, of which nothing is known: as long as those so far."""
    first = climb.rungs[0]
    layers = len(climb.bench.layers[first.step.base])
    return sum(seconds for _, seconds in climb.bench.measured[:layers])


def predict_trial(climb: Climb, work: float) -> float:
    """Predict the seconds of a trial: a line through those so far, since small ones are mostly overhead.

    Parameters
    ----------
    climb : Climb
    work : float
        As `Bench.count_work` counts it.
    """
    works, seconds = np.array(climb.bench.measured, np.float64).reshape(-1, 2).T
    if not len(works):
        return LEAST_RATE * work
    spread = works - works.mean()
    slope = float(spread @ seconds) / (float(spread @ spread) or 1.0)
    slope = min(max(slope, LEAST_RATE), max(LEAST_RATE, float(seconds.max() / works.max())))
    overhead = max(0.0, float((seconds - slope * works).mean()))
    return overhead + slope * work


def guess_features(step: Step, climb: Climb) -> list[FeatureChoice]:
    """Guess what will be tried with views, as one view of it: nearly the same layers suit one view and several."""
    if step.kind == "long views":
        features = find_long_pooling(climb, step.base)
        return [] if features is None else [features]
    layers = climb.at[step.base].candidate.features.layers
    deepest = tuple(climb.bench.layers[step.base][-DEEPEST:])
    guessed = []
    for pooling in list_poolings_of_views(climb, step.base):
        shortlisted = climb.bench.shortlist(step.base, pooling, 1, climb.rows)[-1]
        guessed += [FeatureChoice(step.base, each, pooling) for each in (layers, shortlisted, deepest)]
    return list(dict.fromkeys(guessed))


def seconds_per_image(climb: Climb, base: int) -> float:
    """Say what one pass of a base over one image has cost, by what its features state."""
    costs = [
        layer_set.ms_per_image
        for (place, _, views), comparison in climb.bench.comparisons.items()
        if place == base and views == 1
        for layer_set in comparison.layer_sets
    ]
    return max(costs, default=0.0) / 1e3
