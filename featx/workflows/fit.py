"""Train one classifier on cached features, and evaluate it once on the held-out part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import cpu_count, parallel_config
from numpy.typing import NDArray

from featx.bases.state_dict import is_unused
from featx.bases.weights import as_arrays, digest_tensors, is_file_name
from featx.errors import ModelError, RequestError, shorten
from featx.evaluation.comparison import Comparison, open_comparison
from featx.evaluation.error_analysis import take_held_out
from featx.evaluation.evaluate import evaluate_layer_set, train_classifiers
from featx.evaluation.fit_report import FitReport, NestedFit, report_fit
from featx.evaluation.nested.report import nest
from featx.evaluation.notes import note_data, note_row
from featx.evaluation.protocol import ModelBase, describe_groups, describe_protocol, locate_weights, make_model
from featx.evaluation.result import Evaluation
from featx.evaluation.table_row import make_table_row
from featx.features.cached_base import open_cached_base
from featx.features.catalog import LayerSet
from featx.features.missing import complete_choice
from featx.inspection.known_pictures import add_known_pictures
from featx.models.array_classifier import Opaque
from featx.models.model import Model
from featx.requests import CompareRequest


def fit_classifier(
    request: CompareRequest, keep_model: bool = True, with_base: bool = False, whole: bool = False
) -> FitReport:
    """Train one classifier on one cached layer set, and evaluate it on the held-out part.

    Parameters
    ----------
    request : CompareRequest
        With one layer set, one classifier and at most one pooling.
    keep_model : bool
        Whether the model is needed. If not, a request that was answered before is answered from the cache at once,
        and nothing is trained.
    with_base : bool
        Whether the model holds the tensors of its base, too, so that it predicts where the weights are not.
    whole : bool
        Whether the model is trained on all images in the end, the held-out ones among them. All figures stay those of
        the classifier that never saw these.

    Returns
    -------
    FitReport
        Its `model` can be saved, and labels new images; it is None only if it need not be kept and nothing was
        trained.

    Raises
    ------
    RequestError
        If the request names several layer sets or classifiers.
    ModelError
        If the model is needed and no file can hold it.
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used; with `nested`, also if it cannot
        be divided into outer folds.
    """
    comparison = open_comparison(request.held_out())
    layer_set = choose_only_one(comparison)
    with parallel_config("threading", n_jobs=cpu_count()):
        (evaluation,) = evaluate_layer_set(comparison, layer_set, needs_classifiers=keep_model)
    model = None
    can_be_kept = evaluation.classifier is not None and not isinstance(evaluation.classifier, Opaque)
    if whole:
        model = assemble_whole(comparison, layer_set, evaluation, with_base)
    elif keep_model or can_be_kept:
        model = assemble_model(comparison, layer_set, evaluation, with_base)
        if keep_model:
            model = add_known_pictures(model, comparison, layer_set)
    dataset = comparison.dataset
    held_out = take_held_out(dataset, np.flatnonzero(dataset.test))
    notes = note_row(evaluation, dataset, request.class_weight)
    row = make_table_row(evaluation, layer_set, comparison.positive, notes=notes, data_notes=note_data(dataset))
    report = report_fit(evaluation, held_out, model, row)
    if request.nested is None:
        return report
    rows, nested = nest([replace(comparison, request=request)])
    return replace(report, nested=NestedFit(rows[0], nested))


def choose_only_one(comparison: Comparison) -> LayerSet:
    """Give the only layer set of a comparison with one classifier.

    Raises
    ------
    RequestError
        If there are several of either, or no classifier.
    """
    problems = []
    if len(comparison.layer_sets) != 1:
        names = [f"{layer_set.name} ({layer_set.pooling})" for layer_set in comparison.layer_sets]
        problems.append(f"{len(names)} layer sets or poolings ({shorten(names)})")
    if len(comparison.classifiers) != 1:
        problems.append(f"{len(comparison.classifiers)} classifiers ({shorten(comparison.classifiers)})")
    if problems:
        excess = " and ".join(problems)
        raise RequestError(f"a fit takes one layer set and one classifier, not {excess}: choose, or use compare")
    return comparison.layer_sets[0]


def assemble_whole(comparison: Comparison, layer_set: LayerSet, evaluation: Evaluation, with_base: bool) -> Model:
    """Train a classifier anew, on all images, and make the model of it.

    Its hyper-parameters are chosen on all images, too. The figures that the model states stay those of the classifier
    that was trained without the held-out part.

    Raises
    ------
    FeatxError
        As `assemble_model` does.
    """
    nothing_held_out = replace(comparison.dataset, test=np.zeros(len(comparison.dataset.y), bool))
    everything = replace(comparison, dataset=nothing_held_out)
    with parallel_config("threading", n_jobs=cpu_count()):
        trained = train_classifiers(everything, comparison.classifiers, everything.features(layer_set))
    fitted, classifier = trained[evaluation.result.clf]
    model = assemble_model(comparison, layer_set, replace(evaluation, classifier=classifier), with_base)
    protocol = {**model.protocol, "trained_on_all": len(comparison.dataset.y)}
    model = replace(model, params=fitted.params, protocol=protocol)
    return add_known_pictures(model, everything, layer_set)


def assemble_model(comparison: Comparison, layer_set: LayerSet, evaluation: Evaluation, with_base: bool) -> Model:
    """Join an evaluated classifier to all that prediction needs.

    Raises
    ------
    ModelError
        If no file can hold the classifier, or the tensors of its base.
    WeightsError
        If the tensors of the base are to be in the model, and cannot be had.
    """
    request = comparison.request
    stored = comparison.base
    weights = locate_weights(request.base, stored.source, stored)
    tensors = load_base_tensors(comparison) if with_base else {}
    base = ModelBase(layer_set.keys, stored.source, weights, tensors)
    words = describe_protocol(evaluation.result.clf)
    protocol = {"words": words, "seed": request.seed, "rows": comparison.dataset.digest}
    if evaluation.result.class_weight is not None:
        protocol["class_weight"] = evaluation.result.class_weight
    protocol |= describe_groups(comparison.dataset)
    return make_model(evaluation, base, comparison.dataset.classes, protocol)


def load_base_tensors(comparison: Comparison) -> Mapping[str, NDArray[Any]]:
    """Load the tensors of a cached base, to be put into a model file.

    Raises
    ------
    ModelError
        If they are not those that the features were computed with, or not of 32 bits.
    WeightsError
        If they cannot be had.
    """
    # Only here: evaluating cached features needs no torch, whose import takes seconds.
    from featx.bases.loading import read_choice

    stored = comparison.base
    choice = complete_choice(comparison.request.base, stored)
    base = open_cached_base(comparison.request, stored)
    tensors: dict[str, NDArray[Any]] = {}
    if base.network is not None:
        tensors = as_arrays(base.network.state_dict())
    if digest_tensors(tensors) != stored.id.weights and choice.weights is not None and is_file_name(choice.weights):
        # A file may hold a classifier of other classes, which is part of its digest and which the network has not.
        tensors = read_choice(choice)
    tensors = {name: np.array(tensor, order="C") for name, tensor in tensors.items() if not is_unused(name)}
    if digest_tensors(tensors) != stored.id.weights:
        raise ModelError(
            f"the tensors of {stored.id.architecture} with weights '{choice.weights}' are not those that the features "
            f"were computed with ('{stored.source}'): name the weights with --weights"
        )
    others = [name for name, tensor in tensors.items() if tensor.dtype != np.float32]
    if others:
        raise ModelError(f"no model file can hold tensors that are not float32: {shorten(others, 3)}")
    return tensors
