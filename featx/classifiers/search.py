"""Chooses hyper-parameters by cross-validation inside the training part, and refits the winner on all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.classifiers.registry import Estimator, Linear, find_classifier
from featx.linear.cross_validation import Scored, cross_validate
from featx.linear.fit import TIGHT, fit_linear
from featx.types import Fold, Matrix


@dataclass(frozen=True)
class Fitted:
    """A refitted classifier.

    Attributes
    ----------
    model : Any
        Has `predict`, which takes features as they are.
    params : dict
        The values that won.
    cv_accuracy : float
        Mean accuracy of the winner over the folds.
    seconds : float
        Search and refit; what classifiers share is shared out between them.
    """

    model: Any
    params: dict[str, float]
    cv_accuracy: float
    seconds: float


def search(names: Sequence[str], X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold], seed: int) -> dict[str, Fitted]:
    """Choose by cross-validation and refit on all rows; scaling is fitted inside each fold.

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

    Returns
    -------
    dict of str to Fitted
        In the order of the names.
    """
    chosen = {name: find_classifier(name) for name in names}
    linear = {name: classifier for name, classifier in chosen.items() if isinstance(classifier, Linear)}
    found = search_linear(linear, X, y, folds) if linear else {}
    for name, classifier in chosen.items():
        if isinstance(classifier, Estimator):
            found[name] = cross_validate_estimator(classifier.make(seed), X, y, folds)
    return {name: found[name] for name in names}


def search_linear(
    linear: dict[str, Linear], X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]
) -> dict[str, Fitted]:
    """Choose C for each linear classifier, and refit it on all rows."""
    started = time.perf_counter()
    scored = cross_validate(X, y, folds, {name: classifier.values for name, classifier in linear.items()})
    shared = (time.perf_counter() - started) / len(linear)
    found = {}
    for name, classifier in linear.items():
        started = time.perf_counter()
        winner = choose_value(name, scored[name])
        C = classifier.values[winner]
        model = fit_linear(X, y, name, C, TIGHT)
        accuracy = float(scored[name].accuracy.mean(axis=0)[winner])
        found[name] = Fitted(model, {"C": C}, accuracy, shared + time.perf_counter() - started)
    return found


def choose_value(name: str, scored: Scored) -> int:
    """Choose the place of the best C by what each classifier is trained for.

    Logistic regression: the least log-loss. It moves smoothly with C, where accuracy moves by whole images and ties.
    SVM: the highest accuracy; of equally good values the middle one, the farthest from doing worse.
    """
    if name == "logreg":
        return int(scored.loss.mean(axis=0).argmin())
    means = scored.accuracy.mean(axis=0).round(12)
    equals = np.flatnonzero(means == means.max())
    return int(equals[len(equals) // 2])


def cross_validate_estimator(estimator: Any, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> Fitted:
    """Cross-validate an estimator as it is, then fit it on all rows."""
    started = time.perf_counter()
    pipeline = make_pipeline(StandardScaler(), estimator)
    scores = [fold_accuracy(clone(pipeline).fit(X[learned], y[learned]), X, y, judged) for learned, judged in folds]
    model = pipeline.fit(X, y)
    return Fitted(model, {}, float(np.mean(scores)), time.perf_counter() - started)


def fold_accuracy(fitted: Any, X: Matrix, y: NDArray[np.intp], judged: NDArray[np.intp]) -> float:
    """Judge an estimator on rows (m,), or on images by the mean probabilities of their views (m, v)."""
    if judged.ndim == 1:
        return float((fitted.predict(X[judged]) == y[judged]).mean())
    shares = fitted.predict_proba(X[judged.reshape(-1)])
    chosen = fitted.classes_[shares.reshape(*judged.shape, -1).mean(axis=1).argmax(axis=1)]
    return float((chosen == y[judged[:, 0]]).mean())
