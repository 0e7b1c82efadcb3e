"""Choose hyper-parameters by cross-validation inside the training part, and refit the winner on all of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.choice import (
    Fitted,
    average_folds,
    choose_value,
    find_edge,
    is_worth_extending,
    rate_values,
)
from featx.classifiers.figures import Criterion, average_views
from featx.classifiers.grids import list_beyond, list_warm_values
from featx.classifiers.heartbeat import make_heartbeat
from featx.classifiers.knn import search_neighbours
from featx.classifiers.majority import search_majority
from featx.classifiers.registry import Linear, Majority, Neighbours, find_classifier
from featx.classifiers.search_path import search_path
from featx.linear.cross_validation import Scoring, score_folds
from featx.linear.fit import fit_linear
from featx.linear.many_rows.cost import Problem, count_threads, has_many_rows
from featx.linear.many_rows.device import place_rows
from featx.linear.many_rows.path import PathSetting
from featx.linear.options import SEARCH, TIGHT, Start
from featx.linear.val_scores import CVScores
from featx.linear.weighting import UNWEIGHTED, WeightedLabels, Weighting, drop_zero_rows, weigh_rows
from featx.types import Fold, Matrix

if TYPE_CHECKING:
    # Takes a second to import, and linear classifiers need none of it.
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class SearchOptions:
    """What a search may be told beside the data.

    Attributes
    ----------
    views : int
        View v of n images is row v * n + i: a neighbour votes once, however many views of it there are.
    criterion : Criterion, optional
        The figure to choose by; None: what suits each classifier.
    weighting : Weighting
        How much rows and classes count: in training and in the choice, not in the figures that are stated. Neighbours
        take no weights, and what is most frequent none of classes.
    groups : (n,) int, optional
        For estimators that divide their rows themselves: rows of one group stay together.
    device : str
        "auto", "cpu" or "cuda": where linear classifiers on many rows are solved.
    """

    views: int = 1
    criterion: Criterion | None = None
    weighting: Weighting = UNWEIGHTED
    groups: NDArray[np.intp] | None = None
    device: str = "cpu"


DEFAULT_OPTIONS = SearchOptions()


def search(
    names: Sequence[str],
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    seed: int,
    options: SearchOptions = DEFAULT_OPTIONS,
) -> dict[str, Fitted]:
    """Choose hyper-parameters by cross-validation and refit on all rows; scaling is fitted inside each fold.

    Linear classifiers share one factorisation a fold, and are all searched in one go.

    Parameters
    ----------
    names : sequence of str
        Names in `CLASSIFIERS`.
    X : (n, d) float
        Training rows only.
    y : (n,) int
    folds : sequence of (train rows, validation rows)
        Validation rows may be (m, v): views of one image, whose scores are averaged.
    seed : int
        Seed of classifiers that draw at random.
    options : SearchOptions

    Returns
    -------
    dict of str to Fitted
        In the order of the names.

    Raises
    ------
    UnknownName
        If a name is not in `CLASSIFIERS`.
    DataError
        If features hold NaN or infinity, there is only one class, or a weight is negative or not finite.
    RequestError
        If no fold defines the figure to choose by.
    """
    classifiers = {name: find_classifier(name) for name in names}
    criterion = options.criterion
    weighting = options.weighting
    linear: dict[str, Linear] = {}
    fitted: dict[str, Fitted] = {}
    for name, classifier in classifiers.items():
        if isinstance(classifier, Linear):
            linear[name] = classifier
        elif isinstance(classifier, Neighbours):
            fitted[name] = search_neighbours(classifier.values, X, y, folds, options.views, criterion)
        elif isinstance(classifier, Majority):
            fitted[name] = search_majority(y, X.shape[1], folds, criterion, weighting)
        else:
            fitted[name] = cross_validate_estimator(classifier.make(seed), X, y, folds, options)
    if linear:
        fitted |= search_linear(linear, X, y, folds, options)
    return {name: fitted[name] for name in names}


def search_linear(
    classifiers: Mapping[str, Linear],
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    options: SearchOptions = DEFAULT_OPTIONS,
) -> dict[str, Fitted]:
    """Choose C for each linear classifier, and refit it on all rows."""
    started = time.perf_counter()
    labels = WeightedLabels(y, options.weighting)
    X = place_rows(X, options.device, estimate_seconds(list(classifiers), X, y, folds))
    scored = score_values(classifiers, X, labels, folds, options.criterion)
    shared_seconds = (time.perf_counter() - started) / len(classifiers)
    fitted = {}
    for name, of_classifier in scored.items():
        started = time.perf_counter()
        choice = of_classifier.choose(name)
        C = choice.params["C"]
        heartbeat = make_heartbeat(f"{name}, the final fit")
        tight = replace(TIGHT, start=of_classifier.starts.get(C), report=heartbeat)
        model = fit_linear(X, labels, name, C, tight)
        seconds = shared_seconds + time.perf_counter() - started
        fitted[name] = replace(choice, model=model, seconds=seconds)
    return fitted


def estimate_seconds(names: Sequence[str], X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> float:
    """Estimate what linear classifiers take on all cores, in seconds; 0 where rows are few."""
    problem = Problem(len(X), X.shape[1], len(np.unique(y)), len(folds))
    if not problem.is_large:
        return 0.0
    return sum(problem.estimate_seconds(name, count_threads()) for name in names)


@dataclass(frozen=True)
class ScoredValues:
    """Values of C that were tried for one linear classifier.

    Attributes
    ----------
    values : list of float
        Rising.
    scores : CVScores
        (folds, values) each.
    at_edge : bool
        Whether the best of the usual values lies at their edge.
    starts : dict of float to Start
        Solutions of the first fold by C, for those who fit all rows; empty where rows are few.
    """

    values: list[float]
    scores: CVScores
    at_edge: bool
    starts: dict[float, Start] = field(default_factory=dict)

    def choose(self, name: str) -> Fitted:
        """Choose the best value for the classifier of that name; the model is left to be fitted."""
        winner = choose_value(name, self.scores)
        accuracy = float(self.scores.accuracy.mean(axis=0)[winner])
        merit = None if self.scores.merit is None else float(average_folds(self.scores.merit)[winner])
        edge = find_edge(winner, len(self.values))
        return Fitted(None, {"C": self.values[winner]}, accuracy, 0.0, merit, self.at_edge, edge)


def score_values(
    classifiers: Mapping[str, Linear],
    X: Matrix,
    labels: WeightedLabels,
    folds: Sequence[Fold],
    criterion: Criterion | None = None,
    jobs: int | None = None,
) -> dict[str, ScoredValues]:
    """Cross-validate linear classifiers at the usual values of C, and beyond them where the best one is at the edge.

    On many rows a direction is left when the score has fallen twice; see `search_path`.

    Parameters
    ----------
    classifiers : mapping of str to Linear
    X : (n, d) float
    labels : WeightedLabels
    folds : sequence of (train rows, validation rows)
    criterion : Criterion, optional
        The figure to choose by; None: what suits each classifier.
    jobs : int, optional
        Folds at a time, as `cross_validate` takes it.
    """
    grid = {name: classifier.values for name, classifier in classifiers.items()}
    merit = criterion.rate_scores if criterion else None
    if has_many_rows(len(folds[0][0]), X.shape[1], Problem.count_scores(len(np.unique(labels.labels)))):
        scored = {}
        for name, values in grid.items():
            solver_options = replace(SEARCH, report=make_heartbeat(f"{name}, the search for C"))
            setting = PathSetting(name, count_threads(jobs), merit=merit, options=solver_options)
            scored[name] = score_path(values, X, labels, folds, setting)
        return scored
    scoring = Scoring(grid, merit=merit)
    usual = score_folds(X, labels, folds, scoring, jobs)
    beyond = {name: list_values_beyond(name, grid[name], usual[name]) for name in usual}
    beyond = {name: values for name, values in beyond.items() if values}
    # Rarely any: then the folds are factorised once more.
    further = {}
    if beyond:
        warm = {name: list_warm_values(grid[name], values) for name, values in beyond.items()}
        scores = score_folds(X, labels, folds, replace(scoring, grid=warm), jobs)
        further = {name: keep_last(scores[name], len(values)) for name, values in beyond.items()}
    return {name: join_values(name, grid[name], usual[name], beyond.get(name, []), further.get(name)) for name in grid}


def score_path(
    values: Sequence[float], X: Matrix, labels: WeightedLabels, folds: Sequence[Fold], setting: PathSetting
) -> ScoredValues:
    """Cross-validate one classifier on many rows; parameters are those of `search_path`."""
    name = setting.kind
    tried = search_path(values, X, labels, folds, setting)
    usual = [place for place, value in enumerate(tried.values) if values[0] <= value <= values[-1]]
    of_usual = CVScores._make(None if each is None else each[:, usual] for each in tried.scores)
    best = tried.values[usual[choose_value(name, of_usual)]]
    return ScoredValues(tried.values, tried.scores, best in (values[0], values[-1]), tried.starts)


def list_values_beyond(name: str, values: Sequence[float], scores: CVScores) -> list[float]:
    """List the values beyond the edge of a grid where the best one lies; none where it does not, or where it ties."""
    edge = find_edge(choose_value(name, scores), len(values))
    if not is_worth_extending(rate_values(name, scores), edge):
        return []
    return list_beyond(values, at_highest=edge == "highest")


def choose_c(
    name: str, values: Sequence[float], usual: CVScores, beyond: Sequence[float], further: CVScores | None
) -> Fitted:
    """Choose C among the values of a grid and, where it was extended, those beyond; see `join_values`."""
    return join_values(name, values, usual, beyond, further).choose(name)


def join_values(
    name: str, values: Sequence[float], usual: CVScores, beyond: Sequence[float], further: CVScores | None
) -> ScoredValues:
    """Put the values beyond a grid, where it was extended, beside its own.

    Parameters
    ----------
    values : sequence of float
        Rising.
    usual : CVScores
    beyond : sequence of float
        Rising; all above the usual values, or all below them.
    further : CVScores or None
        Scores of the values beyond.
    """
    at_edge = find_edge(choose_value(name, usual), len(values)) is not None
    if further is None:
        return ScoredValues(list(values), usual, at_edge)
    if beyond[0] > values[0]:
        return ScoredValues([*values, *beyond], join_scores([usual, further]), at_edge)
    return ScoredValues([*beyond, *values], join_scores([further, usual]), at_edge)


def keep_last(scores: CVScores, count: int) -> CVScores:
    """Keep the scores of the last values, (folds, values) each."""
    return CVScores._make(None if values is None else values[:, -count:] for values in scores)


def join_scores(parts: Sequence[CVScores]) -> CVScores:
    """Put the scores of further values beside those of others, (folds, values) each."""
    fields = zip(*parts, strict=True)
    return CVScores._make(None if values[0] is None else np.hstack(values) for values in fields)


def cross_validate_estimator(
    estimator: Any, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], options: SearchOptions = DEFAULT_OPTIONS
) -> Fitted:
    """Cross-validate an estimator with the parameters that it has, then fit it on all rows."""
    criterion = options.criterion
    started = time.perf_counter()
    accuracies, merits = score_estimator(estimator, X, y, folds, options)
    merit = float(average_folds(merits[:, None])[0]) if criterion else None
    pipeline = standardise_before(estimator)
    model = fit_pipeline(pipeline, X, y, options.weighting, options.groups)
    return Fitted(model, {}, float(np.mean(accuracies)), time.perf_counter() - started, merit)


def standardise_before(estimator: Any) -> Pipeline:
    """Put a StandardScaler before an estimator."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), estimator)


def score_estimator(
    estimator: Any, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], options: SearchOptions = DEFAULT_OPTIONS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cross-validate an estimator: accuracies (folds,), and the figures asked for, accuracies where none is."""
    from sklearn.base import clone

    criterion = options.criterion
    pipeline = standardise_before(estimator)
    accuracies = []
    merits = []
    for train, val in folds:
        groups = None if options.groups is None else options.groups[train]
        fitted = fit_pipeline(clone(pipeline), X[train], y[train], options.weighting.take(train), groups)
        accuracies.append(compute_val_accuracy(fitted, X, y, val))
        if criterion:
            truth = y[val if val.ndim == 1 else val[:, 0]]
            probabilities = average_views(fitted.predict_proba(X[val.reshape(-1)]), val)
            merits.append(criterion.rate(truth, fitted.classes_, probabilities))
    return np.array(accuracies), np.array(merits if criterion else accuracies)


def fit_pipeline(
    pipeline: Pipeline,
    X: Matrix,
    y: NDArray[np.intp],
    weighting: Weighting,
    groups: NDArray[np.intp] | None = None,
) -> Pipeline:
    """Fit a StandardScaler and an estimator; one that takes no weights or no groups gets none.

    As in the linear solvers, weights of rows enter mean and deviation of the columns, and those of classes do not.
    """
    from sklearn.utils.validation import has_fit_parameter

    estimator = pipeline.steps[-1][1]
    arguments: dict[str, Any] = {}
    if groups is not None and has_fit_parameter(estimator, "groups"):
        arguments["groups"] = groups if weighting.rows is None else groups[np.asarray(weighting.rows) > 0]
    X, y, rows = drop_zero_rows(X, y, weighting)
    weights = weigh_rows(y, Weighting(weighting.classes, rows))
    scaler = pipeline.steps[0][1]
    scaled = scaler.fit(X, sample_weight=rows).transform(X)
    if weights is not None:
        given = [name for name in ("row_weights", "sample_weight") if has_fit_parameter(estimator, name)]
        arguments |= dict.fromkeys(given, weights)
    estimator.fit(scaled, y, **arguments)
    return pipeline


def compute_val_accuracy(fitted: Any, X: Matrix, y: NDArray[np.intp], val: NDArray[np.intp]) -> float:
    """Score an estimator on rows (m,), or on images by the mean probabilities of their views (m, v)."""
    if val.ndim == 1:
        return float((fitted.predict(X[val]) == y[val]).mean())
    probabilities = fitted.predict_proba(X[val.reshape(-1)])
    image_probabilities = probabilities.reshape(*val.shape, -1).mean(axis=1)
    predicted = fitted.classes_[image_probabilities.argmax(axis=1)]
    return float((predicted == y[val[:, 0]]).mean())
