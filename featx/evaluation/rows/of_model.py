"""The evaluation of a saved model on the held-out part of a data set whose features are cached."""

from __future__ import annotations

from dataclasses import replace

from featx.errors import ModelError
from featx.evaluation.comparison import Comparison, open_comparison
from featx.evaluation.evaluate import load_evaluation, predict_held_out
from featx.evaluation.protocol import Subject, Training, make_evaluation
from featx.evaluation.result import Evaluation
from featx.evaluation.rows.found import Found
from featx.features.catalog import LayerSet
from featx.models.model import Model
from featx.requests import CompareRequest


def evaluate_model(model: Model, name: str, request: CompareRequest) -> Found:
    """Find the evaluation that a model states, or label the held-out images with the model.

    Parameters
    ----------
    name : str
        What the model is called in errors.
    request : CompareRequest
        The data set, and the base whose features the model takes.

    Raises
    ------
    ModelError
        If its features are of another base, its classes are others, or it was trained on the held-out images.
    MissingFeatures
        If its features are not cached.
    """
    clf = str(model.scores.get("clf", model.classifier.kind))
    views = int(model.scores.get("views", model.views))
    of_model = replace(
        request.held_out(),
        layers=["+".join(key.layer for key in model.keys)],
        poolings=[model.keys[0].pooling],
        store_dtype=model.keys[0].dtype,
        views=max(views, model.views),
        test_views=model.views,
        classifiers=[clf],
        beside=(),
    )
    comparison = open_comparison(of_model)
    layer_set = comparison.layer_sets[0]
    if layer_set.keys != model.keys:
        raise ModelError(
            f"{name} takes features of other weights or another transform than those that are cached for this base: "
            "name them with --weights, or extract them"
        )
    if list(model.classes_) != comparison.dataset.classes:
        raise ModelError(
            f"{name} has other classes than '{comparison.dataset.listing.name}': featx score compares what both have"
        )
    recalled = load_evaluation(comparison, layer_set, clf)
    if recalled is not None and recalled.result.test_accuracy == model.scores.get("test_accuracy"):
        return Found(comparison, layer_set, recalled)
    if "trained_on_all" in model.protocol:
        raise ModelError(
            f"{name} was trained on all images, the held-out ones among them: of these its figures would say nothing"
        )
    return Found(comparison, layer_set, predict_with(model, comparison, layer_set, clf))


def predict_with(model: Model, comparison: Comparison, layer_set: LayerSet, clf: str) -> Evaluation:
    """Label the held-out images with a model; the figures of its training are those that it states."""
    subject = Subject(
        base=comparison.base.id.architecture,
        layer=layer_set.name,
        pooling=layer_set.pooling,
        clf=clf,
        dim=layer_set.dim,
        views=comparison.request.views,
        test_views=model.views,
    )
    training = Training(
        n_train=int(model.scores.get("n_train", 0)),
        cv_accuracy=float(model.scores.get("cv_accuracy", 0.0)),
        seconds=0.0,
        params=dict(model.params),
    )
    output = predict_held_out(comparison, model.classifier, comparison.features(layer_set))
    truth = comparison.dataset.y[comparison.dataset.test]
    return make_evaluation(subject, training, truth, output, model.classifier)


def was_trained_here(model: Model, comparison: Comparison) -> bool:
    """Whether a model was trained on the very training part of a data set, so that it never saw the held-out part."""
    return model.protocol.get("rows") == comparison.dataset.digest
