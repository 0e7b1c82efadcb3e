"""The evaluation protocol in words, and the one place where an evaluation and a model are put together.

Evaluating cached layers (`evaluate`) and fine-tuning share both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.base_choice import BaseChoice
from featx.bases.weights import absolute_path
from featx.data.listing import find_held_out
from featx.errors import ModelError
from featx.evaluation.metrics import compute_figures, score_predictions
from featx.evaluation.result import Evaluation, FittedClassifier, HeldOutPredictions, Result
from featx.features.dataset import Dataset
from featx.fields import format_class_weight
from featx.keys import FeatureKey
from featx.models.array_classifier import Opaque
from featx.models.model import Model
from featx.requests import ClassWeight, SelectedFigure
from featx.store.base_json import StoredBase
from featx.types import Codes

PROTOCOL = 3
"""Version of splits, search, solvers and scores: raise it by hand when any of them gives other numbers."""

PROTOCOL_IN_WORDS = (
    "features scaled to length one, layer by layer, "
    "then columns centred and divided by the root of their deviation (MLP: by it); "
    "hyper-parameters chosen by stratified cross-validation inside the training part, folds grouped by digest, "
    "everything fitted inside the fold; refitted on the whole training part; the held-out part read once"
)
"""The protocol of evaluating cached layers, as model files state it."""


def describe_protocol(clf: str) -> str:
    """State the protocol of one classifier: neighbours take standardised columns, as the MLP does."""
    return PROTOCOL_IN_WORDS.replace("MLP", "knn") if clf == "knn" else PROTOCOL_IN_WORDS


def state_class_weight(class_weight: ClassWeight) -> str | None:
    """Write what a request says of class weights where it says anything; None where all classes cost the same."""
    text = format_class_weight(class_weight)
    return None if text == "none" else text


def describe_groups(dataset: Dataset) -> dict[str, Any]:
    """State which rows groups held out, so that they are found again where nobody says the groups; {} without any.

    The rows are stated, not how groups were made: a pattern from a foreign model file is never run.
    """
    if not dataset.has_groups:
        return {}
    stated: dict[str, Any] = {"count": len(np.unique(dataset.groups))}
    if find_held_out(dataset.listing.splits) is None:
        alone = replace(dataset, groups=np.arange(len(dataset.y)))
        stated |= {"held_out": np.packbits(dataset.test).tobytes().hex(), "rows": alone.digest}
    return {"groups": stated}


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a classifier on a layer set of a base. The fields are those of `Result`."""

    base: str
    layer: str
    pooling: str
    clf: str
    dim: int
    views: int = 1
    test_views: int = 1
    class_weight: str | None = None
    weighted_images: bool = False
    single_split: bool = False


@dataclass(frozen=True)
class Training:
    """How a classifier was trained.

    Attributes
    ----------
    n_train : int
        Images trained on.
    cv_accuracy : float
        Accuracy in cross-validation, or on the validation part.
    seconds : float
    params : dict
        The hyper-parameters that were chosen.
    select : str or None
        The figure by which they were chosen, where one was asked for.
    cv_figure : float or None
        That figure in cross-validation.
    """

    n_train: int
    cv_accuracy: float
    seconds: float
    params: dict[str, float]
    select: SelectedFigure | None = None
    cv_figure: float | None = None


def make_evaluation(
    subject: Subject,
    training: Training,
    truth: Codes,
    output: tuple[NDArray[np.intp], NDArray[np.float64]],
    classifier: FittedClassifier | None,
) -> Evaluation:
    """Score what a classifier said of held-out images.

    Parameters
    ----------
    truth : (m,) int
        Classes of the images.
    output : pair of (m,) int and (m, k) float64
        Classes chosen, and probabilities of all classes: what `predict` of a classifier gives.
    """
    chosen, probabilities = output
    result = make_result(subject, training, truth, output)
    confidence = probabilities[np.arange(len(truth)), chosen].round(6)
    figures = compute_figures(truth, chosen, probabilities.shape[1], probabilities)
    return Evaluation(result, HeldOutPredictions(chosen, confidence), classifier, figures=figures)


def make_result(
    subject: Subject, training: Training, truth: Codes, output: tuple[NDArray[np.intp], NDArray[np.float64]]
) -> Result:
    """Put the figures of an evaluation together, rounded as they are kept."""
    chosen, probabilities = output
    return Result(
        base=subject.base,
        layer=subject.layer,
        pooling=subject.pooling,
        clf=subject.clf,
        dim=subject.dim,
        n_train=training.n_train,
        cv_accuracy=round(training.cv_accuracy, 6),
        fit_seconds=round(training.seconds, 3),
        params=training.params,
        views=subject.views,
        test_views=subject.test_views,
        select=training.select,
        cv_figure=None if training.cv_figure is None else round(training.cv_figure, 6),
        class_weight=subject.class_weight,
        weighted_images=subject.weighted_images,
        single_split=subject.single_split,
        **score_predictions(truth, chosen, probabilities),
    )


@dataclass(frozen=True)
class ModelBase:
    """The frozen base of a model.

    Attributes
    ----------
    keys : tuple of FeatureKey
        The features that the classifier takes, one a layer.
    source : str
        Where the weights came from, in plain words.
    weights : str
        What `--weights` would be to load them again.
    tensors : mapping of str to array
        The base's tensors, where the model file holds them itself.
    """

    keys: tuple[FeatureKey, ...]
    source: str
    weights: str
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def locate_weights(choice: BaseChoice, source: str, stored: StoredBase | None = None) -> str:
    """Say what `--weights` would be to load a base's weights again, from any folder.

    Parameters
    ----------
    source : str
        Where the weights came from, in plain words: a name, or the name of a file without its folder.
    stored : StoredBase, optional
        May know the whole path of that file.
    """
    if choice.weights is not None:
        return absolute_path(choice.weights) or choice.weights
    recorded = stored.weights_file if stored else None
    if recorded is not None and Path(recorded).is_file():
        return recorded
    return source


def make_model(evaluation: Evaluation, base: ModelBase, classes: Sequence[str], protocol: Mapping[str, Any]) -> Model:
    """Join an evaluated classifier to all that prediction needs.

    Parameters
    ----------
    evaluation : Evaluation
        With its classifier.
    base : ModelBase
    classes : sequence of str
        Labels in the order of the classifier's scores.
    protocol : mapping
        How the training part, the folds and the seed were made.

    Raises
    ------
    ModelError
        If the classifier is of a kind that no file can hold.
    """
    result = evaluation.result
    classifier = evaluation.classifier
    if classifier is None or isinstance(classifier, Opaque):
        raise ModelError(
            f"no model file can hold a classifier of the kind '{result.clf}': choose logreg, svm, mlp, knn or dummy"
        )
    # Seconds differ from run to run, and equal fits are to give equal files.
    scores = {name: value for name, value in result.to_dict().items() if name != "fit_seconds"}
    return Model(
        keys=base.keys,
        source=base.source,
        weights=base.weights,
        classes_=tuple(classes),
        classifier=classifier,
        params=result.params,
        protocol={"version": PROTOCOL, **protocol},
        scores=scores,
        views=result.test_views,
        base_tensors=base.tensors,
    )
