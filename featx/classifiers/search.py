"""Choose hyper-parameters by cross-validation inside the training part, and refit the winner on all of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from featx.classifiers.registry import Linear, find_classifier
from featx.linear.cross_validation import CVScores, cross_validate
from featx.linear.fit import fit_linear
from featx.linear.options import TIGHT
from featx.linear.weighting import Weighting, drop_zero_rows, weigh_labels, weigh_rows
from featx.types import Fold, Matrix

# Mean accuracies that agree to so many digits are equal: they differ by the rounding of their sum only.
ACCURACY_DIGITS = 12


@dataclass(frozen=True)
class Fitted:
    """A refitted classifier.

    Attributes
    ----------
    model : Any
        Has `predict`, which takes unscaled features.
    params : dict
        The values that were chosen.
    cv_accuracy : float
        Mean accuracy over the folds, with these values.
    seconds : float
        Search and refit; time spent for several classifiers at once is divided among them.
    """

    model: Any
    params: dict[str, float]
    cv_accuracy: float
    seconds: float


def search(
    names: Sequence[str],
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    seed: int,
    weighting: Weighting | None = None,
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
    weighting : Weighting, optional
        How much rows and classes count: in training and in the choice, not in the accuracy that is stated.

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
    """
    classifiers = {name: find_classifier(name) for name in names}
    linear: dict[str, Linear] = {}
    fitted: dict[str, Fitted] = {}
    for name, classifier in classifiers.items():
        if isinstance(classifier, Linear):
            linear[name] = classifier
        else:
            fitted[name] = cross_validate_estimator(classifier.make(seed), X, y, folds, weighting)
    if linear:
        fitted |= search_linear(linear, X, y, folds, weighting)
    return {name: fitted[name] for name in names}


def search_linear(
    classifiers: Mapping[str, Linear],
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    weighting: Weighting | None = None,
) -> dict[str, Fitted]:
    """Choose C for each linear classifier, and refit it on all rows."""
    started = time.perf_counter()
    grid = {name: classifier.values for name, classifier in classifiers.items()}
    labels = weigh_labels(y, weighting)
    cv_scores = cross_validate(X, labels, folds, grid)
    shared_seconds = (time.perf_counter() - started) / len(classifiers)
    fitted = {}
    for name, values in grid.items():
        started = time.perf_counter()
        winner = choose_value(name, cv_scores[name])
        C = values[winner]
        model = fit_linear(X, labels, name, C, TIGHT)
        accuracy = float(cv_scores[name].accuracy.mean(axis=0)[winner])
        seconds = shared_seconds + time.perf_counter() - started
        fitted[name] = Fitted(model, {"C": C}, accuracy, seconds)
    return fitted


def choose_value(name: str, scores: CVScores) -> int:
    """Choose the index of the best C by what each classifier is trained for.

    Logistic regression: the least log-loss. It moves smoothly with C, where accuracy moves by whole images and ties.
    SVM: the highest accuracy; of equally good values the middle one, the farthest from doing worse. Both are weighted
    where training is: chosen by plain figures, C would undo what the weights ask for.
    """
    if name == "logreg":
        return int(scores.loss.mean(axis=0).argmin())
    of_choice = scores.accuracy if scores.weighted_accuracy is None else scores.weighted_accuracy
    accuracies = of_choice.mean(axis=0).round(ACCURACY_DIGITS)
    best = np.flatnonzero(accuracies == accuracies.max())
    return int(best[len(best) // 2])


def cross_validate_estimator(
    estimator: Any, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], weighting: Weighting | None = None
) -> Fitted:
    """Cross-validate an estimator with the parameters that it has, then fit it on all rows."""
    weighting = weighting or Weighting()
    started = time.perf_counter()
    pipeline = make_pipeline(StandardScaler(), estimator)
    accuracies = []
    for train, val in folds:
        fitted = fit_pipeline(clone(pipeline), X[train], y[train], weighting.take(train))
        accuracies.append(compute_val_accuracy(fitted, X, y, val))
    model = fit_pipeline(pipeline, X, y, weighting)
    return Fitted(model, {}, float(np.mean(accuracies)), time.perf_counter() - started)


def fit_pipeline(pipeline: Pipeline, X: Matrix, y: NDArray[np.intp], weighting: Weighting) -> Pipeline:
    """Fit a StandardScaler and an estimator; one that takes no weights, such as nearest neighbours, gets none.

    As in the linear solvers, weights of rows enter mean and deviation of the columns, and those of classes do not.
    """
    X, y, rows = drop_zero_rows(X, y, weighting)
    weights = weigh_rows(y, Weighting(weighting.classes, rows))
    if weights is None:
        return pipeline.fit(X, y)
    scaler, estimator = (step for _, step in pipeline.steps)
    scaled = scaler.fit(X, sample_weight=rows).transform(X)
    given = [name for name in ("row_weights", "sample_weight") if has_fit_parameter(estimator, name)]
    estimator.fit(scaled, y, **dict.fromkeys(given, weights))
    return pipeline


def compute_val_accuracy(fitted: Any, X: Matrix, y: NDArray[np.intp], val: NDArray[np.intp]) -> float:
    """Score an estimator on rows (m,), or on images by the mean probabilities of their views (m, v)."""
    if val.ndim == 1:
        return float((fitted.predict(X[val]) == y[val]).mean())
    probabilities = fitted.predict_proba(X[val.reshape(-1)])
    image_probabilities = probabilities.reshape(*val.shape, -1).mean(axis=1)
    predicted = fitted.classes_[image_probabilities.argmax(axis=1)]
    return float((predicted == y[val[:, 0]]).mean())
