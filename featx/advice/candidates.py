"""What could be trained on, and the ladder from the cheapest to the one that is advised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featx.classifiers.choice import choose_value
from featx.classifiers.search import ScoredValues
from featx.linear.val_scores import CVScores
from featx.selection.trials import Trial, compare_trials
from featx.selection.wording import join_layers


@dataclass(frozen=True)
class Candidate:
    """Features to train on.

    Attributes
    ----------
    layers : tuple of str
        In the base's order; several are concatenated.
    pooling : str
    views : int
        Views of each image that are trained on, and whose scores are averaged.
    """

    layers: tuple[str, ...]
    pooling: str
    views: int = 1

    @property
    def layer(self) -> str:
        """Name of the layer or layer set, as `--layer` takes it."""
        return join_layers(self.layers)


@dataclass(frozen=True)
class Rung:
    """A candidate that was measured by repeated cross-validation, beside the one that was advised until then.

    Attributes
    ----------
    layer, pooling, views
        See `Candidate`.
    clf : str
        The classifier it was measured with.
    images : int
        Images that it was measured on.
    cached : bool
        Whether its features are cached for all images.
    accuracy : float
        Mean over the folds of all repeats; the figure that was asked for, where one was.
    gain, standard_error : float or None
        In percentage points, on the rung that was advised until then; None of the first, and of an error that too few
        folds leave unknown.
    kept : bool
        Whether the gain exceeds its standard error, so that this is advised instead.
    seconds : float or None
        What extracting its features for all images would cost, by what `pace` has kept; None where they are cached.
    """

    layer: str
    pooling: str
    views: int
    clf: str
    images: int
    cached: bool
    accuracy: float
    gain: float | None
    standard_error: float | None
    kept: bool
    seconds: float | None = None


@dataclass(frozen=True)
class Tried:
    """A candidate and its trial.

    Attributes
    ----------
    candidate : Candidate
    trial : Trial
    seconds : float or None
        See `Rung`.
    """

    candidate: Candidate
    trial: Trial
    seconds: float | None = None


def climb(tried: Sequence[Tried], images: int, cached: bool) -> tuple[list[Rung], Tried]:
    """Go from the cheapest candidate to dearer ones, each of which must gain more than the gain's standard error.

    The one-standard-error rule of Breiman et al. (1984, Classification and Regression Trees, section 3.4.3), on paired
    differences.

    Parameters
    ----------
    tried : sequence of Tried
        The cheapest first, at least one.
    images : int
        Images that they were measured on.
    cached : bool
        Whether their features are cached for all images.

    Returns
    -------
    rungs : list of Rung
    advised : Tried
    """
    advised = tried[0]
    rungs = [make_rung(advised, images, cached, None)]
    for each in tried[1:]:
        rungs.append(make_rung(each, images, cached, advised.trial))
        if rungs[-1].kept:
            advised = each
    return rungs, advised


def make_rung(tried: Tried, images: int, cached: bool, before: Trial | None) -> Rung:
    """Write a rung; before is the trial of the rung that was advised until then, None of the first."""
    candidate = tried.candidate
    gain = None if before is None else compare_trials(before, tried.trial)
    error = None
    if gain is not None and np.isfinite(gain.standard_error):
        error = round(gain.standard_error, 4)
    return Rung(
        layer=candidate.layer,
        pooling=candidate.pooling,
        views=candidate.views,
        clf=tried.trial.clf,
        images=images,
        cached=cached,
        accuracy=round(tried.trial.rate, 6),
        gain=None if gain is None else round(gain.points, 4),
        standard_error=error,
        kept=gain is None or gain.is_beyond_noise,
        seconds=None if tried.seconds is None else round(tried.seconds, 3),
    )


def narrow_values(values: Sequence[float], C: float, steps: int) -> list[float]:
    """Keep, of rising values of C, the one nearest to a good one and so many below."""
    place = min(range(len(values)), key=lambda number: abs(np.log(values[number] / C)))
    return list(values[max(0, place - steps) : place + 1])


def join_repeats(clf: str, repeats: Sequence[ScoredValues], values: Sequence[float]) -> Trial:
    """Make one trial of several cross-validations, with one C for all of them.

    Parameters
    ----------
    clf : str
    repeats : sequence of ScoredValues
        One a cross-validation, each with all the values at least.
    values : sequence of float
        The values of C to choose among.
    """
    parts = [keep_values(each, values) for each in repeats]
    by_field = zip(*parts, strict=True)
    scores = CVScores._make(None if of_field[0] is None else np.vstack(of_field) for of_field in by_field)
    winner = choose_value(clf, scores)
    figures = None if scores.merit is None else scores.merit[:, winner]
    folds = min(len(part.accuracy) for part in parts)
    return Trial(clf, {"C": values[winner]}, scores.accuracy[:, winner], figures, folds, 0.0)


def keep_values(scored: ScoredValues, values: Sequence[float]) -> CVScores:
    """Keep the scores of some values of C, (folds, values) each."""
    places = [scored.values.index(value) for value in values]
    return CVScores._make(None if of_field is None else of_field[:, places] for of_field in scored.scores)
