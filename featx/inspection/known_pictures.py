"""What a model keeps of its training pictures beside the classifier: what tells strangers, and calibrates sets."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.out_of_fold import Setting, score_out_of_fold
from featx.classifiers.search import SearchOptions
from featx.evaluation.comparison import Comparison
from featx.features.catalog import LayerSet
from featx.features.splits import make_folds, with_views
from featx.linear.lapack import one_thread
from featx.linear.weighting import UNWEIGHTED
from featx.models.array_classifier import ArrayClassifier, compute_softmax
from featx.models.prediction_sets import PredictionSets
from featx.models.strangeness import WIDEST, KnownClasses, fit_known_classes
from featx.types import Fold, Matrix

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownPictures:
    """What a model keeps of its training pictures; the fields are those of `Model`."""

    known: KnownClasses | None = None
    sets: PredictionSets | None = None


def measure_known_pictures(
    comparison: Comparison, layer_set: LayerSet, classifier: ArrayClassifier, params: Mapping[str, float]
) -> KnownPictures:
    """Measure what tells strangers, and how sure a classifier has to be for sets of classes.

    Both are measured on the training part, by folds in which groups stay together. Where features are too many for
    memory, or too long, nothing is measured, which is said.

    Parameters
    ----------
    classifier : ArrayClassifier
        Trained on the training part of the comparison's data set.
    params : mapping of str to float
        Its hyper-parameters.
    """
    dataset = comparison.dataset
    train = np.flatnonzero(dataset.train)
    if layer_set.dim > WIDEST or not comparison.fits_memory(layer_set):
        log.info("features are too many or too long to tell strangers by: the model gives no strangeness")
        return KnownPictures()
    request = comparison.request
    features = comparison.features(layer_set)
    X = features.take(features.rows(train, 1))
    y = dataset.y[train]
    folds = make_folds(y, dataset.groups[train], request.seed)
    if any(np.array_equal(fold_train, val) for fold_train, val in folds):
        # No class has two images: nothing can be judged by others.
        return KnownPictures()
    with one_thread():
        known = fit_known_classes(X, y, folds, request.seed)
    if request.views > 1:
        X = features.take(features.rows(train, request.views))
    probabilities = judge_out_of_fold(classifier, params, comparison, X, folds)
    sets = None if probabilities is None else PredictionSets.calibrate(probabilities, y)
    return KnownPictures(known, sets)


def judge_out_of_fold(
    classifier: ArrayClassifier, params: Mapping[str, float], comparison: Comparison, X: Matrix, folds: Sequence[Fold]
) -> NDArray[np.float64] | None:
    """Give the probabilities of training images by classifiers that did not see them: (n, k), NaN where there are none.

    Parameters
    ----------
    X : (v * n, d) float32
        View v of image i is row v * n + i.
    """
    if classifier.kind == "dummy":
        return None
    request = comparison.request
    dataset = comparison.dataset
    train = np.flatnonzero(dataset.train)
    weighting = (dataset.weighting(request.class_weight) or UNWEIGHTED).take(train).tile(request.views)
    groups = np.tile(dataset.groups[train], request.views) if dataset.has_groups else None
    options = SearchOptions(request.views, None, weighting, groups)
    setting = Setting(classifier.kind, params, request.seed, options)
    folds_of_views = with_views(folds, len(train), request.views, request.test_views)
    scores = score_out_of_fold(setting, X, np.tile(dataset.y[train], request.views), folds_of_views)[: len(train)]
    return to_probabilities(classifier, scores)


def to_probabilities(classifier: ArrayClassifier, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn scores into probabilities as a classifier does; rows of NaN stay NaN, and unknown classes have 0."""
    probabilities = np.full(scores.shape, np.nan)
    judged = np.flatnonzero(~np.isnan(scores).any(axis=1))
    if classifier.kind == "knn":
        probabilities[judged] = np.where(np.isfinite(scores[judged]), scores[judged], 0)
    else:
        probabilities[judged] = compute_softmax(classifier.inverse_temperature * scores[judged])
    return probabilities
