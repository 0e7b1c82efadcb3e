"""Choose hyper-parameters by cross-validation inside the training part, and refit the winner on all of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

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
from featx.classifiers.knn import search_neighbours
from featx.classifiers.majority import search_majority
from featx.classifiers.registry import Linear, Majority, Neighbours, find_classifier
from featx.linear.cross_validation import CVScores, Scoring, score_folds
from featx.linear.fit import fit_linear
from featx.linear.options import TIGHT
from featx.types import Fold, Matrix


@dataclass(frozen=True)
class SearchOptions:
    """What a search may be told beside the data.

    Attributes
    ----------
    views : int
        View v of n images is row v * n + i: a neighbour votes once, however many views of it there are.
    criterion : Criterion, optional
        The figure to choose by; None: what suits each classifier.
    groups : (n,) int, optional
        For estimators that divide their rows themselves: rows of one group stay together.
    """

    views: int = 1
    criterion: Criterion | None = None
    groups: NDArray[np.intp] | None = None


def search(
    names: Sequence[str],
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    seed: int,
    options: SearchOptions = SearchOptions(),
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
        If features hold NaN or infinity, or there is only one class.
    RequestError
        If no fold defines the figure to choose by.
    """
    classifiers = {name: find_classifier(name) for name in names}
    criterion = options.criterion
    linear: dict[str, Linear] = {}
    fitted: dict[str, Fitted] = {}
    for name, classifier in classifiers.items():
        if isinstance(classifier, Linear):
            linear[name] = classifier
        elif isinstance(classifier, Neighbours):
            fitted[name] = search_neighbours(classifier.values, X, y, folds, options.views, criterion)
        elif isinstance(classifier, Majority):
            fitted[name] = search_majority(y, X.shape[1], folds, criterion)
        else:
            fitted[name] = cross_validate_estimator(classifier.make(seed), X, y, folds, criterion, options.groups)
    if linear:
        fitted |= search_linear(linear, X, y, folds, criterion)
    return {name: fitted[name] for name in names}


def search_linear(
    classifiers: Mapping[str, Linear],
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    criterion: Criterion | None = None,
) -> dict[str, Fitted]:
    """Choose C for each linear classifier, and refit it on all rows."""
    started = time.perf_counter()
    scoring = Scoring(
        {name: classifier.values for name, classifier in classifiers.items()},
        merit=criterion.rate_scores if criterion else None,
    )
    usual = score_folds(X, y, folds, scoring)
    beyond = {name: list_values_beyond(name, classifiers[name].values, usual[name]) for name in usual}
    beyond = {name: values for name, values in beyond.items() if values}
    # Rarely any: then the folds are factorised once more.
    further = {}
    if beyond:
        warm = {name: list_warm_values(classifiers[name].values, values) for name, values in beyond.items()}
        scores = score_folds(X, y, folds, replace(scoring, grid=warm))
        further = {name: keep_last(scores[name], len(values)) for name, values in beyond.items()}
    shared_seconds = (time.perf_counter() - started) / len(classifiers)
    fitted = {}
    for name, classifier in classifiers.items():
        started = time.perf_counter()
        choice = choose_c(name, classifier.values, usual[name], beyond.get(name, []), further.get(name))
        model = fit_linear(X, y, name, choice.params["C"], TIGHT)
        seconds = shared_seconds + time.perf_counter() - started
        fitted[name] = replace(choice, model=model, seconds=seconds)
    return fitted


def list_values_beyond(name: str, values: Sequence[float], scores: CVScores) -> list[float]:
    """List the values beyond the edge of a grid where the best one lies; none where it does not, or where it ties."""
    edge = find_edge(choose_value(name, scores), len(values))
    if not is_worth_extending(rate_values(name, scores), edge):
        return []
    return list_beyond(values, at_highest=edge == "highest")


def choose_c(
    name: str, values: Sequence[float], usual: CVScores, beyond: Sequence[float], further: CVScores | None
) -> Fitted:
    """Choose C among the values of a grid and, where it was extended, those beyond; the model is left to be fitted.

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
    scores = usual
    tried = list(values)
    if further is not None:
        is_above = beyond[0] > values[0]
        tried = [*values, *beyond] if is_above else [*beyond, *values]
        scores = join_scores([usual, further] if is_above else [further, usual])
    winner = choose_value(name, scores)
    accuracy = float(scores.accuracy.mean(axis=0)[winner])
    merit = None if scores.merit is None else float(average_folds(scores.merit)[winner])
    return Fitted(None, {"C": tried[winner]}, accuracy, 0.0, merit, at_edge, find_edge(winner, len(tried)))


def keep_last(scores: CVScores, count: int) -> CVScores:
    """Keep the scores of the last values, (folds, values) each."""
    merit = None if scores.merit is None else scores.merit[:, -count:]
    return CVScores(scores.accuracy[:, -count:], scores.loss[:, -count:], merit)


def join_scores(parts: Sequence[CVScores]) -> CVScores:
    """Put the scores of further values beside those of others, (folds, values) each."""
    merits = [scores.merit for scores in parts if scores.merit is not None]
    return CVScores(
        accuracy=np.hstack([scores.accuracy for scores in parts]),
        loss=np.hstack([scores.loss for scores in parts]),
        merit=np.hstack(merits) if merits else None,
    )


def cross_validate_estimator(
    estimator: Any,
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    criterion: Criterion | None = None,
    groups: NDArray[np.intp] | None = None,
) -> Fitted:
    """Cross-validate an estimator with the parameters that it has, then fit it on all rows."""
    started = time.perf_counter()
    pipeline = make_pipeline(StandardScaler(), estimator)
    groups_keyword = f"{pipeline.steps[-1][0]}__groups"

    def state_groups(rows: Any) -> dict[str, Any]:
        if groups is None or not has_fit_parameter(estimator, "groups"):
            return {}
        return {groups_keyword: groups[rows]}

    accuracies = []
    merits = []
    for train, val in folds:
        fitted = clone(pipeline).fit(X[train], y[train], **state_groups(train))
        accuracies.append(compute_val_accuracy(fitted, X, y, val))
        if criterion:
            truth = y[val if val.ndim == 1 else val[:, 0]]
            probabilities = average_views(fitted.predict_proba(X[val.reshape(-1)]), val)
            merits.append([criterion.rate(truth, fitted.classes_, probabilities)])
    merit = float(average_folds(np.array(merits))[0]) if criterion else None
    model = pipeline.fit(X, y, **state_groups(slice(None)))
    return Fitted(model, {}, float(np.mean(accuracies)), time.perf_counter() - started, merit)


def compute_val_accuracy(fitted: Any, X: Matrix, y: NDArray[np.intp], val: NDArray[np.intp]) -> float:
    """Score an estimator on rows (m,), or on images by the mean probabilities of their views (m, v)."""
    if val.ndim == 1:
        return float((fitted.predict(X[val]) == y[val]).mean())
    probabilities = fitted.predict_proba(X[val.reshape(-1)])
    image_probabilities = probabilities.reshape(*val.shape, -1).mean(axis=1)
    predicted = fitted.classes_[image_probabilities.argmax(axis=1)]
    return float((predicted == y[val[:, 0]]).mean())
