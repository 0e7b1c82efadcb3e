"""How promising a layer is: scores without training, cross-validated accuracy, and a learning curve.

Only training images are scored; the held-out part is never read for advice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray

from featx.classifiers.choice import choose_value
from featx.classifiers.registry import CLASSIFIERS, Linear
from featx.classifiers.search import DEFAULT_OPTIONS, ScoredValues, SearchOptions, join_values, score_values
from featx.evaluation.transferability import factorise, h_score, log_evidence, neighbour_accuracy
from featx.features.matrix import name_degenerate
from featx.features.splits import LabelledRows
from featx.linear.cross_validation import Scoring, cross_validate, score_folds
from featx.linear.lapack import one_thread
from featx.linear.many_rows.cost import Problem, has_many_rows
from featx.linear.val_scores import CVScores
from featx.linear.weighting import WeightedLabels
from featx.types import Matrix

EQUAL_WITHIN = 0.005
"""Accuracies that differ by less than this, or by less than one standard error, are taken as equal."""

STEPS_PAST = 2
"""Values of C, a decade each, that all folds try beyond the best one of the first fold."""

ENOUGH_TO_TELL = 100
"""Images on which the first fold validates, from which on the others follow it; with fewer all of them are fast."""

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Shares of the training rows that the learning curve is measured on: each doubles the one before."""


@dataclass(frozen=True)
class LayerScore:
    """How well one layer tells the classes of a data set apart.

    Attributes
    ----------
    layer, pooling : str
    dim, images : int
        Length of a feature vector, and number of images that were scored.
    cached : bool
        Whether features of the cache were scored, all or `draw_images` of them; else a sample was run through the base.
    logme, h_score, knn_accuracy : float
        See `featx.evaluation.transferability`.
    cv_accuracy : dict of classifier to float
        Cross-validated on the images that were scored.
    clf : str
        The better classifier.
    degenerate : str or None
        "all zero" or "constant" where the features tell no images apart.
    cv_rate : dict of classifier to float, or None
        The figure that was asked for, cross-validated, its sign changed where less is better.
    """

    layer: str
    pooling: str
    dim: int
    images: int
    cached: bool
    logme: float
    h_score: float
    knn_accuracy: float
    cv_accuracy: dict[str, float]
    clf: str
    degenerate: str | None = None
    cv_rate: dict[str, float] | None = None

    @property
    def best(self) -> float:
        """Cross-validated accuracy of the better classifier, or the figure that was asked for."""
        return (self.cv_rate or self.cv_accuracy)[self.clf]

    @property
    def mean(self) -> float:
        """Mean of three accuracies, of both classifiers and of nearest neighbours: steadier than the best of them.

        Where another figure was asked for, the mean of that.
        """
        if self.cv_rate:
            return float(np.mean(list(self.cv_rate.values())))
        return float(np.mean([*self.cv_accuracy.values(), self.knn_accuracy]))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def score_layer(name: tuple[str, str], X: Matrix, rows: LabelledRows, seed: int, cached: bool) -> LayerScore:
    """Score the features of one layer.

    Parameters
    ----------
    name : (layer, pooling)
    X : (n, d) float
        Rows of length one.
    rows : LabelledRows
    cached : bool
        Whether they are cached.
    """
    return describe_layer(name, X, rows, cross_validate_layer(X, rows, seed), cached)


def describe_layer(
    name: tuple[str, str], X: Matrix, rows: LabelledRows, scored: Mapping[str, ScoredValues], cached: bool
) -> LayerScore:
    """Put the scores of a layer together, parameters as in `score_layer`; scored is from `cross_validate_layer`."""
    accuracies = {}
    rates = {}
    for clf, of_values in scored.items():
        scores = of_values.scores
        if scores.merit is None and scores.weighted_accuracy is None:
            accuracies[clf] = round(float(scores.accuracy.mean(axis=0).max()), 6)
            continue
        chosen = of_values.choose(clf)
        accuracies[clf] = round(chosen.cv_accuracy, 6)
        if chosen.cv_merit is not None:
            rates[clf] = round(chosen.cv_merit, 6)
    judged_by = rates or accuracies
    with one_thread():
        spectrum = factorise(X, rows.y)
        knn_accuracy = neighbour_accuracy(X, rows.y, rows.groups)
    return LayerScore(
        *name,
        dim=X.shape[1],
        images=len(X),
        cached=cached,
        logme=round(log_evidence(spectrum), 6),
        h_score=round(h_score(spectrum), 6),
        knn_accuracy=round(knn_accuracy, 6),
        cv_accuracy=accuracies,
        clf=max(judged_by, key=judged_by.__getitem__),
        degenerate=name_degenerate(X.min(axis=0), X.max(axis=0)),
        cv_rate=rates or None,
    )


def cross_validate_layer(
    X: Matrix,
    rows: LabelledRows,
    seed: int,
    options: SearchOptions = DEFAULT_OPTIONS,
    jobs: int | None = None,
) -> dict[str, ScoredValues]:
    """Cross-validate the linear classifiers at every second C, as far as large ones may be the best.

    Large values take longest. The first fold tries all of them, the others none that lies more than `STEPS_PAST` beyond
    what was best there, if it has images enough to tell. On many rows C is searched from the middle, as `search` does.

    Parameters
    ----------
    X : (n, d) float
    rows : LabelledRows
    seed : int
    options : SearchOptions
        Of one view: weights, and the figure to be judged by.
    jobs : int, optional
        Folds at a time, in threads; None: as many as there are CPUs.
    """
    # Every second C is half the time, and moves the best accuracy by less than EQUAL_WITHIN.
    grid = {name: each.values[::2] for name, each in CLASSIFIERS.items() if isinstance(each, Linear)}
    merit = options.criterion.rate_scores if options.criterion else None
    labels = WeightedLabels(rows.y, options.weighting)
    folds = rows.folds(seed)
    if has_many_rows(len(folds[0][0]), X.shape[1], Problem.count_scores(len(np.unique(rows.y)))):
        classifiers = {name: Linear(values) for name, values in grid.items()}
        return score_values(classifiers, X, labels, folds, options.criterion, jobs or cpu_count())
    first, *others = folds
    scored = score_folds(X, labels, [first], Scoring(grid, merit=merit), jobs or cpu_count())
    if others:
        if len(first[1]) >= ENOUGH_TO_TELL:
            grid = {name: values[: count_worthwhile(name, scored[name])] for name, values in grid.items()}
        further = score_folds(X, labels, others, Scoring(grid, merit=merit), jobs or cpu_count())
        scored = {name: join_folds(scored[name], further[name]) for name in grid}
    return {name: join_values(name, values, scored[name], [], None) for name, values in grid.items()}


def count_worthwhile(name: str, scores: CVScores) -> int:
    """Count the values, from the lowest on, that further folds are to try, by the scores of the first one."""
    accuracy = scores.accuracy.mean(axis=0)
    if scores.merit is not None and np.isnan(scores.merit).any():
        # This fold does not define the figure that chooses.
        return len(accuracy)
    last_best = int(np.flatnonzero(accuracy == accuracy.max())[-1])
    return max(last_best, choose_value(name, scores)) + STEPS_PAST + 1


def join_folds(first: CVScores, further: CVScores) -> CVScores:
    """Put the scores of further folds below those of the first, for the values that all of them tried."""
    count = further.accuracy.shape[1]
    joined = (
        None if of_first is None or of_others is None else np.vstack([of_first[:, :count], of_others])
        for of_first, of_others in zip(first, further, strict=True)
    )
    return CVScores._make(joined)


def choose_layer(scores: Sequence[LayerScore]) -> LayerScore:
    """Choose the layer that is best in cross-validation, or among its equals the one with the best mean accuracy.

    Cached layers are preferred to those of which only a sample was run through the base.
    """
    candidates = [score for score in scores if score.cached] or list(scores)
    candidates = [score for score in candidates if not score.degenerate] or candidates
    top = max(candidates, key=lambda score: score.best)
    # A log-loss lies outside 0 to 1, and has no such error.
    standard_error = (max(top.best * (1 - top.best), 0) / top.images) ** 0.5
    floor = top.best - max(EQUAL_WITHIN, standard_error)
    equals = [score for score in candidates if score.best >= floor]
    return max(equals, key=lambda score: (score.mean, score.logme))


def learning_curve(X: Matrix, rows: LabelledRows, clf: str, seed: int) -> list[tuple[int, float]]:
    """Cross-validate on growing shares of the training rows: pairs of images trained on and accuracy.

    Parameters
    ----------
    X : (n, d) float
    rows : LabelledRows
    clf : str
        "logreg" or "svm"; its C is chosen once, on all rows.
    """
    scored = cross_validate_layer(X, rows, seed)[clf]
    return measure_curve(X, rows, clf, seed, choose_point(clf, scored))


def choose_point(clf: str, scored: ScoredValues) -> tuple[float, float]:
    """Choose C as layers are judged: C, and the accuracy there."""
    scores = scored.scores
    accuracies = scores.accuracy.mean(axis=0)
    is_plain = scores.merit is None and scores.weighted_accuracy is None
    place = int(accuracies.argmax()) if is_plain else choose_value(clf, scores)
    return scored.values[place], float(accuracies[place])


def measure_curve(
    X: Matrix,
    rows: LabelledRows,
    clf: str,
    seed: int,
    whole: tuple[float, float],
    jobs: int | None = None,
) -> list[tuple[int, float]]:
    """Measure the learning curve at a C; whole is a pair of that C and the accuracy on all training rows."""
    folds = rows.folds(seed)
    C, accuracy_of_all = whole
    points = []
    for share in SHARES:
        thinned = [(thin_rows(train, rows.y, share, seed), val) for train, val in folds]
        accuracy = accuracy_of_all
        if share < 1:
            scored = cross_validate(X, rows.y, thinned, {clf: [C]}, jobs or cpu_count())
            accuracy = float(scored[clf].accuracy.mean())
        images = float(np.mean([len(train) for train, _ in thinned]))
        points.append((round(images), round(accuracy, 6)))
    return points


def thin_rows(rows: NDArray[np.intp], y: NDArray[np.intp], share: float, seed: int) -> NDArray[np.intp]:
    """Keep a share of the rows of each class, and at least one row of each."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    kept = []
    for code in np.unique(y[rows]):
        of_class = shuffled[y[shuffled] == code]
        count = max(1, round(share * len(of_class)))
        kept.append(of_class[:count])
    return np.sort(np.concatenate(kept))
