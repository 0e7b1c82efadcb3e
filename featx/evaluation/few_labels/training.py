"""From a few labelled images to classifiers: the usual protocol, but for what too few images cannot choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.knn import fit_neighbours
from featx.classifiers.registry import Linear, Neighbours, find_classifier
from featx.classifiers.to_arrays import as_classifier
from featx.evaluation.comparison import Comparison
from featx.evaluation.evaluate import train_classifiers
from featx.evaluation.nested.folds import keep_rows
from featx.evaluation.result import FittedClassifier
from featx.features.group_splits import UndividableGroups
from featx.features.matrix import Features
from featx.features.splits import make_folds
from featx.linear.fit import fit_linear
from featx.linear.weighting import UNWEIGHTED, WeightedLabels

Chosen = tuple[dict[str, float], FittedClassifier]
"""Hyper-parameters, and the classifier that was trained with them."""


def has_curve(clf: str) -> bool:
    """Whether a classifier is trained on few labels.

    The MLP is not: when it stops is decided by a part of its training images, which few labels do not leave.
    """
    return isinstance(find_classifier(clf), Linear | Neighbours)


def fix_params(clf: str) -> dict[str, float]:
    """Give the hyper-parameters where no fold can choose them, as with one image of each class.

    C in the middle of the grid, since it may depend on no further label; a single neighbour, since all others are of
    other classes.
    """
    classifier = find_classifier(clf)
    if isinstance(classifier, Linear):
        return {"C": classifier.values[len(classifier.values) // 2]}
    return {"k": 1}


def take_labelled(comparison: Comparison, rows: NDArray[np.intp], seed: int) -> Comparison:
    """Turn a comparison into one of some training images only, (m,) int, with the seed of their draw."""
    request = replace(comparison.request.held_out(), seed=seed)
    return replace(comparison, request=request, dataset=keep_rows(comparison.dataset, rows))


def can_choose(labelled: Comparison) -> bool:
    """Whether cross-validation on the labelled images can choose hyper-parameters."""
    dataset = labelled.dataset
    try:
        folds = make_folds(dataset.y, dataset.groups, labelled.request.seed)
    except UndividableGroups:
        return False
    # One fold that validates on its own training rows chooses what fits them best.
    if any(np.isin(val, train).any() for train, val in folds):
        return False
    # Figures of ranking, which --select may ask for, need two classes to be validated on.
    return labelled.criterion is None or any(len(np.unique(dataset.y[val])) > 1 for _, val in folds)


def train_on_labelled(labelled: Comparison, names: Sequence[str], features: Features) -> dict[str, Chosen]:
    """Train classifiers on all views of the labelled images.

    Parameters
    ----------
    labelled : Comparison
        Of the labelled images only.
    names : sequence of str
        Those of `has_curve`.
    features : Features
        Of these images, in memory.
    """
    if can_choose(labelled):
        trained = train_classifiers(labelled, names, features)
        return {name: (fitted.params, classifier) for name, (fitted, classifier) in trained.items()}
    return {name: train_with(labelled, name, fix_params(name), features) for name in names}


def train_with(labelled: Comparison, clf: str, params: dict[str, float], features: Features) -> Chosen:
    """Train one classifier with given hyper-parameters."""
    dataset = labelled.dataset
    views = labelled.request.views
    X = features.take(features.rows(np.arange(len(dataset.y)), views))
    y = np.tile(dataset.y, views)
    if isinstance(find_classifier(clf), Neighbours):
        return params, as_classifier(fit_neighbours(X, y, views, int(params["k"])), 1.0)
    weighting = (dataset.weighting(labelled.request.class_weight) or UNWEIGHTED).tile(views)
    return params, as_classifier(fit_linear(X, WeightedLabels(y, weighting), clf, params["C"]), 1.0)
