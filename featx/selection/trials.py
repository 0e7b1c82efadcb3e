"""Measure candidates by the protocol of evaluation, several times over, and say what one gains on another."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from featx.classifiers.choice import average_folds, choose_value
from featx.classifiers.figures import Criterion
from featx.classifiers.registry import Estimator, Linear, find_classifier
from featx.classifiers.search import ScoredValues, SearchOptions, score_estimator, score_values
from featx.errors import RequestError
from featx.features.splits import LabelledRows, with_views
from featx.linear.weighting import UNWEIGHTED, WeightedLabels, Weighting
from featx.types import Fold, Matrix

REPEATS = 3
"""Cross-validations, each with folds of its own: of five folds each, fifteen differences to judge a gain by."""


@dataclass(frozen=True)
class TrialOptions:
    """What trials may be told beside the data.

    Attributes
    ----------
    repeats : int
        Cross-validations, each with folds of its own.
    views : int
        Views of each image that are trained on: view v of n images is row v * n + i.
    test_views : int
        Views of each image whose scores are averaged; at most `views`.
    weighting : Weighting
        How much images and classes count in training and in the choice of C.
    criterion : Criterion, optional
        The figure to choose C by, and to judge by; None: accuracy, and for the choice what suits each classifier.
    jobs : int, optional
        Folds at a time, in threads; None: as many as there are CPUs.
    """

    repeats: int = REPEATS
    views: int = 1
    test_views: int = 1
    weighting: Weighting = UNWEIGHTED
    criterion: Criterion | None = None
    jobs: int | None = None


USUAL_OPTIONS = TrialOptions()


@dataclass(frozen=True)
class Trial:
    """How one classifier did on one candidate's features, in repeated cross-validation.

    Attributes
    ----------
    clf : str
    params : dict
        The one C for all folds, where there is any.
    accuracies : (J,) float64
        One a fold, repeat by repeat.
    figures : (J,) float64 or None
        Likewise the figure that was asked for, its sign changed where less is better; NaN where a fold does not define
        it.
    folds : int
        Folds of one cross-validation.
    seconds : float
        Shared alike by classifiers that were tried together.
    """

    clf: str
    params: dict[str, float]
    accuracies: NDArray[np.float64]
    figures: NDArray[np.float64] | None
    folds: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the folds."""
        return float(self.accuracies.mean())

    @property
    def rates(self) -> NDArray[np.float64]:
        """What candidates are compared by, (J,), the greatest best: the figure asked for, else accuracy."""
        return self.accuracies if self.figures is None else self.figures

    @property
    def rate(self) -> float:
        """Mean of the rates over the folds that define them."""
        return float(average_folds(self.rates[:, None])[0])


@dataclass(frozen=True)
class Gain:
    """What one trial gained on another.

    Attributes
    ----------
    points : float
        Mean difference, in percentage points.
    standard_error : float
        Of that mean, in points; infinite where there are too few folds to tell.
    """

    points: float
    standard_error: float

    @property
    def is_beyond_noise(self) -> bool:
        """Whether it exceeds one standard error."""
        return self.points > self.standard_error


def cross_validate_repeatedly(
    X: Matrix, rows: LabelledRows, classifiers: Sequence[str], seed: int, options: TrialOptions = USUAL_OPTIONS
) -> dict[str, Trial]:
    """Cross-validate classifiers several times, by the protocol of `featx.classifiers.search` but without a refit.

    Scaling is fitted inside each fold. One C is chosen for the folds of all repeats: by log-loss for logistic
    regression, by accuracy for the SVM, or by the figure that was asked for.

    Parameters
    ----------
    X : (views * n, d) float
        View v of image i is row v * n + i.
    rows : LabelledRows
        Of the n images.
    classifiers : sequence of str
        "logreg", "svm" or "mlp".
    seed : int
        Folds of repeat r are those of the seed r higher, so that all candidates meet the same folds.
    options : TrialOptions

    Returns
    -------
    dict of str to Trial

    Raises
    ------
    UnknownName
        If there is no such classifier.
    RequestError
        If a classifier is not of those above, or no fold defines the figure that was asked for.
    DataError
        If features hold NaN or infinity, or rows cannot be divided into folds.
    """
    repeats = [rows.folds(seed + repeat) for repeat in range(options.repeats)]
    folds: list[Fold] = []
    for folds_of_images in repeats:
        folds += with_views(folds_of_images, len(rows.y), options.views, options.test_views)
    fewest = min(map(len, repeats))
    found = {name: find_classifier(name) for name in classifiers}
    linear = {name: classifier for name, classifier in found.items() if isinstance(classifier, Linear)}
    labels = WeightedLabels(np.tile(rows.y, options.views), options.weighting.tile(options.views))
    trials = {}
    if linear:
        started = time.perf_counter()
        scored = score_values(linear, X, labels, folds, options.criterion, options.jobs or cpu_count())
        seconds = (time.perf_counter() - started) / len(linear)
        for name, of_classifier in scored.items():
            trials[name] = keep_chosen(name, of_classifier, fewest, seconds)
    for name, classifier in found.items():
        if isinstance(classifier, Estimator):
            started = time.perf_counter()
            search_options = SearchOptions(
                options.views, options.criterion, labels.weighting, tile_groups(rows, options.views)
            )
            accuracies, merits = score_estimator(classifier.make(seed), X, labels.labels, folds, search_options)
            figures = merits if options.criterion else None
            trials[name] = Trial(name, {}, accuracies, figures, fewest, time.perf_counter() - started)
        elif name not in linear:
            raise RequestError(f"classifier '{name}' takes no part in trials: choose logreg, svm or mlp")
    return {name: trials[name] for name in found}


def tile_groups(rows: LabelledRows, views: int) -> NDArray[np.intp] | None:
    """Give the groups of all views; None where every image is a group of its own, as evaluation has it."""
    if len(np.unique(rows.groups)) == len(rows.groups):
        return None
    return np.tile(rows.groups, views)


def keep_chosen(name: str, scored: ScoredValues, folds: int, seconds: float) -> Trial:
    """Keep the folds of the C that is chosen."""
    winner = choose_value(name, scored.scores)
    merits = scored.scores.merit
    figures = None if merits is None else merits[:, winner]
    params = {"C": scored.values[winner]}
    return Trial(name, params, scored.scores.accuracy[:, winner], figures, folds, seconds)


def compare_trials(base: Trial, other: Trial) -> Gain:
    """Say what one trial gained on another, fold by fold.

    Parameters
    ----------
    base, other : Trial
        On the same rows, folds and seed.

    Returns
    -------
    Gain
        Of the other on the base.

    Notes
    -----
    Folds share most of their training rows, so the variance of their mean is more than that of independent ones: the
    correction of Nadeau and Bengio (2003, Inference for the generalization error) multiplies the variance of J
    differences by 1 / J + m / n, where m rows validate and n train, which is 1 / (K - 1) for K folds; as of repeated
    cross-validation by Bouckaert and Frank (2004, Evaluating the replicability of significance tests for comparing
    learning algorithms).
    """
    differences = 100 * (other.rates - base.rates)
    differences = differences[~np.isnan(differences)]
    count = len(differences)
    points = float(differences.mean()) if count else 0.0
    if count < 2 or base.folds < 2:
        return Gain(points, math.inf)
    variance = float(differences.var(ddof=1)) * (1 / count + 1 / (base.folds - 1))
    return Gain(points, math.sqrt(variance))
