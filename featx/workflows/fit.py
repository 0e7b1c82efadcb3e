"""Train one classifier on cached features, and evaluate it once on the held-out part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.bases.state_dict import is_unused
from featx.bases.weights import as_arrays, digest_tensors, is_file_name
from featx.errors import ModelError, RequestError, shorten
from featx.evaluation.comparison import Comparison, Task, open_comparison
from featx.evaluation.error_analysis import take_held_out
from featx.evaluation.evaluate import evaluate_layer_set, train_classifiers
from featx.evaluation.fit_report import FitReport, NestedFit, report_fit
from featx.evaluation.nested.report import nest
from featx.evaluation.notes import note_data, note_row
from featx.evaluation.protocol import ModelBase, describe_groups, describe_protocol, locate_weights, make_model
from featx.evaluation.result import Evaluation, FittedClassifier
from featx.evaluation.side_by_side import Step, count_work, take_steps
from featx.evaluation.table_row import make_table_row
from featx.features.cached_base import open_cached_base
from featx.features.catalog import LayerSet
from featx.features.missing import complete_choice
from featx.inspection.known_pictures import KnownPictures, measure_known_pictures
from featx.models.array_classifier import ArrayClassifier
from featx.models.model import Model
from featx.processes.cluster import one_cluster
from featx.requests import CompareRequest


@dataclass(frozen=True)
class Trained:
    """A classifier, and what is known of the images that it was trained on.

    Attributes
    ----------
    classifier : ArrayClassifier, Opaque or None
        None if it need not be kept and its result is of an earlier run.
    params : mapping of str to float
        Hyper-parameters that cross-validation chose.
    pictures : KnownPictures
        Empty if it need not be kept.
    """

    classifier: FittedClassifier | None
    params: Mapping[str, float]
    pictures: KnownPictures = field(default_factory=KnownPictures)


# Training and outer folds are two visits to a cluster, and opening one takes seconds.
@one_cluster()
def fit_classifier(
    request: CompareRequest, keep_model: bool = True, with_base: bool = False, whole: bool = False
) -> FitReport:
    """Train one classifier on one cached layer set, and evaluate it on the held-out part.

    Parameters
    ----------
    request : CompareRequest
        With one layer set, one classifier and at most one pooling. Its `runner` says where all training is done.
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
        be divided into outer folds; with the runner "ray", also if there is no cluster or a node does not see the
        cache.
    """
    comparison = open_comparison(request.held_out())
    layer_set = choose_only_one(comparison)
    dataset = comparison.dataset
    evaluation, trained = train(comparison, layer_set, keep_model, whole)
    model = None
    if keep_model or whole or isinstance(trained.classifier, ArrayClassifier):
        model = assemble_model(comparison, layer_set, evaluation, trained, with_base)
        if whole:
            model = replace(model, protocol={**model.protocol, "trained_on_all": len(dataset.y)})
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


def train(comparison: Comparison, layer_set: LayerSet, keep_model: bool, whole: bool) -> tuple[Evaluation, Trained]:
    """Train all that a fit asks for, here or on nodes of a cluster: the evaluation, and what the model is made of."""
    evaluate = partial(train_and_evaluate, keep_model=keep_model, is_final=not whole)
    steps: dict[int, tuple[Step[Any], Task]] = {0: (evaluate, (comparison, layer_set))}
    if whole:
        nothing_held_out = replace(comparison.dataset, test=np.zeros(len(comparison.dataset.y), bool))
        steps[1] = (train_on_all, (replace(comparison, dataset=nothing_held_out), layer_set))
    results = take_steps(steps, choose_steps_here(comparison, layer_set, list(steps), keep_model))
    evaluation, trained = results[0]
    return evaluation, results[1] if whole else trained


def choose_steps_here(
    comparison: Comparison, layer_set: LayerSet, places: Sequence[int], keep_model: bool
) -> Sequence[int]:
    """Choose the steps that are taken in this process: all of them, or with a cluster what earlier runs left."""
    if comparison.request.runner != "ray":
        return places
    is_recalled = not keep_model and not count_work(comparison, layer_set)
    return [0] if is_recalled else []


def train_and_evaluate(
    comparison: Comparison, layer_set: LayerSet, keep_model: bool, is_final: bool
) -> tuple[Evaluation, Trained]:
    """Train the classifier on the training part, and evaluate it on the held-out part.

    Parameters
    ----------
    keep_model : bool
        Whether it is trained also where an earlier run left its evaluation.
    is_final : bool
        Whether the model holds it, and no other.
    """
    (evaluation,) = evaluate_layer_set(comparison, layer_set, needs_classifiers=keep_model)
    trained = Trained(evaluation.classifier, evaluation.result.params)
    if keep_model and is_final:
        trained = add_pictures(trained, comparison, layer_set)
    return evaluation, trained


def train_on_all(comparison: Comparison, layer_set: LayerSet) -> Trained:
    """Train the classifier on all images, on which its hyper-parameters are chosen, too.

    Parameters
    ----------
    comparison : Comparison
        With nothing held out.
    """
    (name,) = comparison.classifiers
    fitted, classifier = train_classifiers(comparison, [name], comparison.features(layer_set))[name]
    return add_pictures(Trained(classifier, fitted.params), comparison, layer_set)


def add_pictures(trained: Trained, comparison: Comparison, layer_set: LayerSet) -> Trained:
    """Add what is known of the images that a classifier was trained on, if a model can hold it."""
    if not isinstance(trained.classifier, ArrayClassifier):
        return trained
    pictures = measure_known_pictures(comparison, layer_set, trained.classifier, trained.params)
    return replace(trained, pictures=pictures)


def assemble_model(
    comparison: Comparison, layer_set: LayerSet, evaluation: Evaluation, trained: Trained, with_base: bool
) -> Model:
    """Join a trained classifier to all that prediction needs.

    The figures that the model states are those of the classifier that never saw the held-out part.

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
    evaluated = replace(evaluation, classifier=trained.classifier)
    model = make_model(evaluated, base, comparison.dataset.classes, protocol)
    return replace(model, params=trained.params, known=trained.pictures.known, sets=trained.pictures.sets)


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
