"""Scores of every row by a classifier that never saw it, nor any row of its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.classifiers.knn import fit_neighbours
from featx.classifiers.registry import Estimator, Linear, Neighbours, find_classifier
from featx.classifiers.search import SearchOptions, fit_pipeline
from featx.classifiers.to_arrays import to_arrays
from featx.linear.fit import fit_linear
from featx.linear.lapack import one_thread
from featx.linear.options import ROUGH
from featx.linear.weighting import WeightedLabels, take_positive
from featx.models.array_classifier import ArrayClassifier
from featx.types import Fold, Matrix


@dataclass(frozen=True)
class Setting:
    """What a classifier is trained with in each fold.

    Attributes
    ----------
    clf : str
        Name in `CLASSIFIERS`; not the dummy.
    params : mapping of str to float
        Its hyper-parameters, chosen before.
    seed : int
        Of classifiers that draw at random.
    options : SearchOptions
    """

    clf: str
    params: Mapping[str, float]
    seed: int
    options: SearchOptions


def score_out_of_fold(setting: Setting, X: Matrix, y: NDArray[np.intp], folds: Sequence[Fold]) -> NDArray[np.float64]:
    """Score validation rows by classifiers of the other folds.

    Parameters
    ----------
    setting : Setting
    X : (n, d) float
    y : (n,) int
        Classes, numbered from 0.
    folds : sequence of (train rows, validation rows)
        Validation rows may be (m, v): views of one image, whose scores are averaged, and stand in the row of the first.

    Returns
    -------
    (n, k) float64
        NaN in rows that no fold validates; minus infinity for classes that were not trained on there.
    """
    scores = np.full((len(X), int(y.max()) + 1), np.nan)
    with one_thread():
        if len(folds) == 1:
            parts = [score_fold_rows(setting, X, y, folds[0])]
        else:
            parts = Parallel(prefer="threads")(delayed(score_fold_rows)(setting, X, y, fold) for fold in folds)
    for (_, val), (classes, of_fold) in zip(folds, parts, strict=True):
        rows = val if val.ndim == 1 else val[:, 0]
        scores[rows] = -np.inf
        scores[rows[:, None], classes] = of_fold
    return scores


def score_fold_rows(
    setting: Setting, X: Matrix, y: NDArray[np.intp], fold: Fold
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Train on one part of the rows and score the other: the classes trained on, (c,), and scores (m, c)."""
    train, val = fold
    classes, codes = np.unique(y[train], return_inverse=True)
    classifier = train_once(setting, X, train, codes)
    scores = classifier.scores(X[val.reshape(-1)])
    return classes, scores.reshape(*val.shape, -1).mean(axis=1) if val.ndim > 1 else scores


def train_once(setting: Setting, X: Matrix, train: NDArray[np.intp], codes: NDArray[np.intp]) -> ArrayClassifier:
    """Train a classifier with given hyper-parameters on some rows, whose classes are codes from 0."""
    classifier = find_classifier(setting.clf)
    options = setting.options
    weighting = options.weighting.take(train)
    if isinstance(classifier, Linear):
        kept = take_positive(np.arange(len(train)), weighting)
        labels = WeightedLabels(codes[kept], weighting.take(kept))
        return to_arrays(fit_linear(X[train[kept]], labels, setting.clf, setting.params["C"], ROUGH))
    if isinstance(classifier, Neighbours):
        most = len(train) // options.views
        return to_arrays(fit_neighbours(X[train], codes, options.views, min(int(setting.params["k"]), most)))
    if not isinstance(classifier, Estimator):
        raise ValueError(f"'{setting.clf}' says the same of every row")
    pipeline = make_pipeline(StandardScaler(), classifier.make(setting.seed))
    groups = None if options.groups is None else options.groups[train]
    return to_arrays(fit_pipeline(pipeline, X[train], codes, weighting, groups))
