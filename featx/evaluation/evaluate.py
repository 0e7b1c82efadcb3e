"""Train classifiers on a layer set and evaluate them on the held-out part, unless an earlier run has done so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.calibration import calibrate
from featx.classifiers.choice import Fitted
from featx.classifiers.grids import STEPS_BEYOND
from featx.classifiers.registry import Linear, find_classifier, takes_class_weights, takes_row_weights
from featx.classifiers.search import SearchOptions, search
from featx.classifiers.search_out_of_core import RowBlocks, search_out_of_core
from featx.classifiers.to_arrays import as_classifier
from featx.evaluation.comparison import Comparison
from featx.evaluation.metrics import compute_figures
from featx.evaluation.protocol import Subject, Training, make_evaluation, state_class_weight
from featx.evaluation.result import TUNED, Evaluation, FittedClassifier
from featx.evaluation.result_cache import (
    HeldOutSize,
    describe_grid,
    load_finetuned_results,
    load_result,
    save_result,
)
from featx.features.catalog import LayerSet
from featx.features.matrix import Features
from featx.features.splits import FOLDS, make_search_folds, validates_once, with_views
from featx.keys import list_fields
from featx.linear.many_rows.cost import APART, Problem
from featx.linear.weighting import UNWEIGHTED

Trained = tuple[Fitted, FittedClassifier]


def fingerprint(comparison: Comparison, layer_set: LayerSet, clf: str) -> dict[str, Any]:
    """State everything that a result depends on. Names and values decide which results are found: leave them."""
    request = comparison.request
    stated: dict[str, Any] = {
        "keys": [json.loads(key.to_json()) for key in layer_set.keys],
        "rows": comparison.dataset.digest,
        "clf": clf,
        "grid": describe_grid(clf, request.seed),
        "seed": request.seed,
    }
    # Only stated where they differ from what they were before they could be chosen, so that older results are found.
    if (request.views, request.test_views) != (1, 1):
        stated["views"] = (request.views, request.test_views)
    if request.class_weight != "none" and takes_class_weights(clf):
        stated["class_weight"] = request.class_weight
    if not comparison.fits_memory(layer_set):
        stated["passes"] = 1
    elif has_single_split(comparison, layer_set):
        stated["validation"] = "one fold"
    elif solves_many_rows(comparison, layer_set, clf):
        stated["folds"] = APART
    if request.select is not None:
        stated["select"] = request.select
        if request.select == "average_precision" and comparison.positive and comparison.positive.place == 0:
            stated["positive"] = 0
    return stated


def solves_many_rows(comparison: Comparison, layer_set: LayerSet, clf: str) -> bool:
    """Whether a classifier is searched by passes over the rows of each fold."""
    rows = int(comparison.dataset.train.sum()) * comparison.request.views
    problem = Problem(rows, layer_set.dim, len(comparison.dataset.classes), FOLDS)
    return isinstance(find_classifier(clf), Linear) and problem.is_large


def has_single_split(comparison: Comparison, layer_set: LayerSet) -> bool:
    """Whether hyper-parameters are chosen on one split instead of five folds: of many images, or few at a time."""
    return validates_once(int(comparison.dataset.train.sum())) or not comparison.fits_memory(layer_set)


def measure_held_out(comparison: Comparison) -> HeldOutSize:
    """Count the images that are held out, and the classes."""
    return HeldOutSize(int(comparison.dataset.test.sum()), len(comparison.dataset.classes))


def fingerprint_extended(stated: dict[str, Any]) -> dict[str, Any]:
    """State that the best value of the usual grid lies at its edge, so that values beyond it may have been tried."""
    return {**stated, "extended": STEPS_BEYOND}


def load_evaluation(comparison: Comparison, layer_set: LayerSet, clf: str) -> Evaluation | None:
    """Find what an earlier run left of one classifier on a layer set.

    A result whose C lies at the edge of the usual grid, and that does not say that it was extended, is of a version
    that never looked beyond it: passed over.
    """
    cache = comparison.request.cache
    held_out = measure_held_out(comparison)
    stated = fingerprint(comparison, layer_set, clf)
    evaluation = load_result(cache, stated, held_out)
    if evaluation is None or lies_at_edge(clf, evaluation.result.params):
        evaluation = load_result(cache, fingerprint_extended(stated), held_out)
    return evaluation and complete_figures(comparison, evaluation)


def lies_at_edge(clf: str, params: Mapping[str, float]) -> bool:
    """Whether a chosen C is at an edge of the usual grid of a classifier."""
    classifier = find_classifier(clf)
    return isinstance(classifier, Linear) and params.get("C") in (classifier.values[0], classifier.values[-1])


def complete_figures(comparison: Comparison, evaluation: Evaluation) -> Evaluation:
    """Give a result of an older version the figures that its predictions allow."""
    if evaluation.figures is not None:
        return evaluation
    dataset = comparison.dataset
    figures = compute_figures(dataset.y[dataset.test], evaluation.predictions.classes, len(dataset.classes))
    return replace(evaluation, figures=figures)


def recall(comparison: Comparison, layer_set: LayerSet) -> dict[str, Evaluation]:
    """Find what earlier runs left of a layer set, by classifier; nothing where the request says to fit again."""
    if comparison.request.refit:
        return {}
    recalled = {}
    for clf in comparison.classifiers:
        evaluation = load_evaluation(comparison, layer_set, clf)
        if evaluation is not None:
            recalled[clf] = evaluation
    return recalled


def recall_finetuned(comparison: Comparison) -> list[Evaluation]:
    """Find what fine-tuning of this base left on these very rows, as far as its classifiers are asked for."""
    request = comparison.request
    shared = {"base": list_fields(comparison.base.id), "rows": comparison.dataset.digest}
    class_weight = state_class_weight(request.class_weight)
    evaluations = load_finetuned_results(request.cache, shared, measure_held_out(comparison), class_weight)
    names = request.classifiers or TUNED
    return [complete_figures(comparison, each) for each in evaluations if each.result.clf in names]


def evaluate_layer_set(
    comparison: Comparison, layer_set: LayerSet, needs_classifiers: bool = False
) -> list[Evaluation]:
    """Evaluate every classifier on a layer set, training only those of which no earlier run left a result.

    Parameters
    ----------
    needs_classifiers : bool
        Whether the classifiers of recalled results are trained, too; what they are evaluated as stays as recalled.

    Returns
    -------
    list of Evaluation
        In the order of the classifiers; those that were trained hold their classifier.
    """
    evaluations = recall(comparison, layer_set)
    to_train = [clf for clf in comparison.classifiers if needs_classifiers or clf not in evaluations]
    if to_train:
        features = comparison.features(layer_set)
        degenerate = features.find_degenerate()
        for clf, trained in train_classifiers(comparison, to_train, features).items():
            if clf in evaluations:
                evaluations[clf] = replace(evaluations[clf], classifier=trained[1])
                continue
            evaluation = evaluate_classifier(comparison, layer_set, clf, trained, features)
            fitted, _ = trained
            evaluations[clf] = replace(evaluation, degenerate=degenerate, edge=fitted.edge)
            stated = fingerprint(comparison, layer_set, clf)
            if fitted.at_edge:
                stated = fingerprint_extended(stated)
            save_result(comparison.request.cache, stated, evaluations[clf])
    return [evaluations[clf] for clf in comparison.classifiers]


def train_classifiers(comparison: Comparison, names: Sequence[str], features: Features) -> dict[str, Trained]:
    """Choose, refit and calibrate classifiers on all views of the training rows."""
    request = comparison.request
    dataset = comparison.dataset
    train = np.flatnonzero(dataset.train)
    folds_of_images = make_search_folds(dataset.y[train], dataset.groups[train], request.seed)
    folds = with_views(folds_of_images, len(train), request.views, request.test_views)
    y = np.tile(dataset.y[train], request.views)
    rows = features.rows(train, request.views)
    weighting = dataset.weighting(request.class_weight) or UNWEIGHTED
    weighting = weighting.take(train).tile(request.views)
    groups = np.tile(dataset.groups[train], request.views) if dataset.has_groups else None
    options = SearchOptions(request.views, comparison.criterion, weighting, groups, request.device)
    if features.array is None:
        blocks = RowBlocks(features.take, rows, features.block)
        return search_out_of_core(names, blocks, y, folds[0], options)
    X = features.take(rows)
    trained: dict[str, Trained] = {}
    for name, fitted in search(names, X, y, folds, request.seed, options).items():
        started = time.perf_counter()
        inverse_temperature = 1.0
        if name == "svm":
            inverse_temperature = calibrate(fitted.model, fitted.params["C"], X, y, folds, weighting)
        seconds = fitted.seconds + time.perf_counter() - started
        classifier = as_classifier(fitted.model, inverse_temperature)
        trained[name] = replace(fitted, seconds=seconds), classifier
    return trained


def evaluate_classifier(
    comparison: Comparison, layer_set: LayerSet, clf: str, trained: Trained, features: Features
) -> Evaluation:
    """Evaluate one trained classifier on the held-out rows."""
    fitted, classifier = trained
    request = comparison.request
    dataset = comparison.dataset
    subject = Subject(
        base=comparison.base.id.architecture,
        layer=layer_set.name,
        pooling=layer_set.pooling,
        clf=clf,
        dim=layer_set.dim,
        views=request.views,
        test_views=request.test_views,
        class_weight=state_class_weight(request.class_weight) if takes_class_weights(clf) else None,
        weighted_images=dataset.weights is not None and takes_row_weights(clf),
        single_split=clf != "dummy" and has_single_split(comparison, layer_set),
    )
    criterion = comparison.criterion
    training = Training(
        n_train=int(dataset.train.sum()),
        cv_accuracy=fitted.cv_accuracy,
        seconds=fitted.seconds,
        params=fitted.params,
        select=request.select,
        cv_figure=criterion.to_figure(fitted.cv_merit) if criterion else None,
    )
    output = predict_held_out(comparison, classifier, features)
    return make_evaluation(subject, training, dataset.y[dataset.test], output, classifier)


def predict_held_out(
    comparison: Comparison, classifier: FittedClassifier, features: Features
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Classify the held-out rows, scores of their views averaged, as many at a time as a block of memory holds."""
    outputs = [classifier.predict(X) for _, X in held_out_blocks(comparison, features)]
    chosen, probabilities = zip(*outputs, strict=True)
    return np.concatenate(chosen), np.concatenate(probabilities)


def held_out_blocks(
    comparison: Comparison, features: Features
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Give the held-out rows, (m,) int, with their features, as many at a time as a block of memory holds.

    Features are (m, d) float32, or (m, v, d) for v views of each image.
    """
    held_out = np.flatnonzero(comparison.dataset.test)
    views = comparison.request.test_views
    for first in range(0, len(held_out), features.block):
        images = held_out[first : first + features.block]
        X = features.take(features.rows(images, views))
        if views > 1:
            X = X.reshape(views, len(images), -1).swapaxes(0, 1)
        yield images, X
