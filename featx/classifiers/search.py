"""Choose hyper-parameters by cross-validation inside the training part, and refit the winner on all of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.classifiers.registry import Linear, find_classifier
from featx.linear.cross_validation import CVScores, cross_validate
from featx.linear.fit import fit_linear
from featx.linear.options import TIGHT
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


def search(names: Sequence[str], X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], seed: int) -> dict[str, Fitted]:
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
    """
    classifiers = {name: find_classifier(name) for name in names}
    linear: dict[str, Linear] = {}
    fitted: dict[str, Fitted] = {}
    for name, classifier in classifiers.items():
        if isinstance(classifier, Linear):
            linear[name] = classifier
        else:
            fitted[name] = cross_validate_estimator(classifier.make(seed), X, y, folds)
    if linear:
        fitted |= search_linear(linear, X, y, folds)
    return {name: fitted[name] for name in names}


def search_linear(
    classifiers: Mapping[str, Linear], X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]
) -> dict[str, Fitted]:
    """Choose C for each linear classifier, and refit it on all rows."""
    started = time.perf_counter()
    grid = {name: classifier.values for name, classifier in classifiers.items()}
    cv_scores = cross_validate(X, y, folds, grid)
    shared_seconds = (time.perf_counter() - started) / len(classifiers)
    fitted = {}
    for name, values in grid.items():
        started = time.perf_counter()
        winner = choose_value(name, cv_scores[name])
        C = values[winner]
        model = fit_linear(X, y, name, C, TIGHT)
        accuracy = float(cv_scores[name].accuracy.mean(axis=0)[winner])
        seconds = shared_seconds + time.perf_counter() - started
        fitted[name] = Fitted(model, {"C": C}, accuracy, seconds)
    return fitted


def choose_value(name: str, scores: CVScores) -> int:
    """Choose the index of the best C by what each classifier is trained for.

    Logistic regression: the least log-loss. It moves smoothly with C, where accuracy moves by whole images and ties.
    SVM: the highest accuracy; of equally good values the middle one, the farthest from doing worse.
    """
    if name == "logreg":
        return int(scores.loss.mean(axis=0).argmin())
    accuracies = scores.accuracy.mean(axis=0).round(ACCURACY_DIGITS)
    best = np.flatnonzero(accuracies == accuracies.max())
    return int(best[len(best) // 2])


def cross_validate_estimator(estimator: Any, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> Fitted:
    """Cross-validate an estimator with the parameters that it has, then fit it on all rows."""
    started = time.perf_counter()
    pipeline = make_pipeline(StandardScaler(), estimator)
    accuracies = []
    for train, val in folds:
        fitted = clone(pipeline).fit(X[train], y[train])
        accuracies.append(compute_val_accuracy(fitted, X, y, val))
    model = pipeline.fit(X, y)
    return Fitted(model, {}, float(np.mean(accuracies)), time.perf_counter() - started)


def compute_val_accuracy(fitted: Any, X: Matrix, y: NDArray[np.intp], val: NDArray[np.intp]) -> float:
    """Score an estimator on rows (m,), or on images by the mean probabilities of their views (m, v)."""
    if val.ndim == 1:
        return float((fitted.predict(X[val]) == y[val]).mean())
    probabilities = fitted.predict_proba(X[val.reshape(-1)])
    image_probabilities = probabilities.reshape(*val.shape, -1).mean(axis=1)
    predicted = fitted.classes_[image_probabilities.argmax(axis=1)]
    return float((predicted == y[val[:, 0]]).mean())
