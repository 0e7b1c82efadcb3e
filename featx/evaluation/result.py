"""What one evaluation gives: its figures, what was predicted, and the row of a table that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.choice import Edge
from featx.classifiers.figures import Criterion
from featx.errors import RequestError, unknown
from featx.models.array_classifier import ArrayClassifier, Opaque
from featx.requests import SelectedFigure
from featx.types import RowNumbers

TUNED = ("head", "finetuned")
"""Names of the two phases of fine-tuning in the column of classifiers."""

SELECTION_FIELDS = ("select", "cv_figure")
"""Fields of a result that are only stated where the figure to choose by was asked for."""
WEIGHTING_FIELDS = ("class_weight", "weighted_images")
"""Fields of a result that say how training was weighted: JSON states them only where it was."""
UNUSUAL_FIELDS = (*WEIGHTING_FIELDS, "single_split")
"""Fields of a result that JSON states only where they say something."""

FittedClassifier = ArrayClassifier | Opaque


@dataclass(frozen=True)
class Result:
    """The figures of one evaluation, and nothing that depends on what it is compared with.

    Attributes
    ----------
    base, layer, pooling, clf : str
    dim : int
        Length of a feature vector.
    n_train, n_test : int
        Images trained on and held out.
    cv_accuracy : float
        Accuracy of the chosen hyper-parameters over the folds of the training part; of fine-tuning, on the part of it
        that chose the epoch.
    test_accuracy, ci_low, ci_high : float
        Accuracy on the held-out part, with its 95 % interval (Wilson).
    macro_f1 : float
        Mean over classes, on the held-out part.
    fit_seconds : float
        Search and refit together.
    params : dict
        The hyper-parameters that were chosen.
    balanced_accuracy : float
        Mean recall over classes.
    top5_accuracy : float or None
        Only where there are ten classes or more.
    calibration_error : float
        Expected calibration error, 15 bins: how far probabilities lie from the share that is right.
    views, test_views : int
        Views of each image that were trained on, and views whose scores were averaged to evaluate it.
    select : str or None
        The cross-validated figure by which hyper-parameters were chosen, where one was asked for.
    cv_figure : float or None
        That figure in cross-validation.
    class_weight : str or None
        What errors on classes cost in training, as `CompareRequest` states it; None: all the same.
    weighted_images : bool
        Whether images had weights in training. No figure here is weighted.
    single_split : bool
        Whether one split of the training part, 80/20, chose hyper-parameters instead of five folds.
    """

    base: str
    layer: str
    pooling: str
    clf: str
    dim: int
    n_train: int
    n_test: int
    cv_accuracy: float
    test_accuracy: float
    ci_low: float
    ci_high: float
    macro_f1: float
    fit_seconds: float
    params: dict[str, float]
    balanced_accuracy: float
    top5_accuracy: float | None
    calibration_error: float
    views: int = 1
    test_views: int = 1
    select: SelectedFigure | None = None
    cv_figure: float | None = None
    class_weight: str | None = None
    weighted_images: bool = False
    single_split: bool = False

    @property
    def merit(self) -> float:
        """What rows are ranked by, the greatest first: the figure asked for, else cross-validated accuracy."""
        if self.select is None or self.cv_figure is None:
            return self.cv_accuracy
        return Criterion(self.select).sign * self.cv_figure

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; those of a selection, of weights and of one split only where they apply."""
        values = asdict(self)
        if self.select is None:
            for name in SELECTION_FIELDS:
                del values[name]
        return drop_unweighted(values)


def drop_unweighted(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fields of weights that say that there were none."""
    return {name: value for name, value in values.items() if value or name not in UNUSUAL_FIELDS}


@dataclass(frozen=True)
class Figures:
    """Further figures of the held-out part; None where not defined.

    Attributes
    ----------
    matthews : float or None
        Matthews correlation: of labels, from -1 to 1, 0 at chance.
    recall : tuple of float or None
        Of either class where there are two, else empty.
    roc_auc, average_precision : tuple of float or None
        With either class as the positive one where there are two; else one mean over classes, each against the rest, as
        far as it is defined. Empty where probabilities were not kept.
    """

    matthews: float | None
    recall: tuple[float | None, ...]
    roc_auc: tuple[float | None, ...] = ()
    average_precision: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class PositiveClass:
    """The one of two classes that sensitivity, specificity and average precision are of.

    Attributes
    ----------
    place : int
        0 or 1.
    name : str
    """

    place: int
    name: str


def choose_positive(classes: Sequence[str], name: str | None = None) -> PositiveClass | None:
    """Find the positive class; None where there are more than two and none was named.

    Parameters
    ----------
    name : str, optional
        The second class where not given, as in scikit-learn.

    Raises
    ------
    RequestError
        If one is named, but there are more than two classes.
    UnknownName
        If there is no such class.
    """
    if len(classes) != 2:
        if name is None:
            return None
        raise RequestError(
            f"'--positive {name}' says which of two classes is the positive one, and there are {len(classes)}: "
            "leave it out, each class is then one against the rest"
        )
    if name is None:
        return PositiveClass(1, classes[1])
    if name not in classes:
        raise unknown("class of `--positive`", name, classes)
    return PositiveClass(list(classes).index(name), name)


@dataclass(frozen=True)
class HeldOutPredictions:
    """What a classifier says of the held-out images.

    Attributes
    ----------
    classes : (m,) int
        Places of the predicted classes, in the order of the held-out rows; `UNREADABLE` where there is none.
    confidence : (m,) float64
        Probabilities of these classes, to six digits.
    """

    classes: NDArray[np.intp]
    confidence: NDArray[np.float64]


UNREADABLE = -1
"""Predicted class of an image that could not be read any more: it equals no class, so it counts as wrong."""


def spread_predictions(predictions: HeldOutPredictions, places: RowNumbers, rows: int) -> HeldOutPredictions:
    """Give every held-out row a prediction, where only those at some places could be read.

    Parameters
    ----------
    places : (m,) int
        Where the m predictions belong among the held-out rows.
    rows : int
        How many held-out rows there are.
    """
    classes = np.full(rows, UNREADABLE)
    confidence = np.zeros(rows)
    classes[places] = predictions.classes
    confidence[places] = predictions.confidence
    return HeldOutPredictions(classes, confidence)


@dataclass(frozen=True)
class Evaluation:
    """What evaluating one classifier on the held-out part gave.

    Attributes
    ----------
    result : Result
    predictions : HeldOutPredictions
    classifier : ArrayClassifier, Opaque or None
        What was evaluated; None where only its result was kept.
    recalled : bool
        Whether an earlier run left this.
    degenerate : str or None
        "all zero" or "constant" where the features tell no images apart.
    edge : {"lowest", "highest"} or None
        Where the chosen C is the lowest or the highest that was tried.
    figures : Figures or None
    """

    result: Result
    predictions: HeldOutPredictions
    classifier: FittedClassifier | None = None
    recalled: bool = False
    degenerate: str | None = None
    edge: Edge | None = None
    figures: Figures | None = None


AnyResult = TypeVar("AnyResult", bound=Result)


def best(results: Sequence[AnyResult]) -> AnyResult:
    """Pick the winner by cross-validation: by accuracy, or by the figure asked for. The held-out part does not choose.

    Rows of fine-tuning are passed over where there are others: they are validated on one small part that also chose
    the epoch, which flatters them.
    """
    cross_validated = [result for result in results if result.clf not in TUNED]
    return max(cross_validated or results, key=lambda result: result.merit)
