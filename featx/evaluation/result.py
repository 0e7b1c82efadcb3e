"""What one evaluation gives: its figures, what was predicted, and the row of a table that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.models.array_classifier import ArrayClassifier, Opaque
from featx.types import RowNumbers

TUNED = ("head", "finetuned")
"""Names of the two phases of fine-tuning in the column of classifiers."""

WEIGHTING_FIELDS = ("class_weight", "weighted_images")
"""Fields of a result that say how training was weighted: JSON states them only where it was."""

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
    class_weight : str or None
        What errors on classes cost in training, as `CompareRequest` states it; None: all the same.
    weighted_images : bool
        Whether images had weights in training. No figure here is weighted.
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
    class_weight: str | None = None
    weighted_images: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; weights only where there were any."""
        values = asdict(self)
        for name in WEIGHTING_FIELDS:
            if not values[name]:
                del values[name]
        return values


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
    """

    result: Result
    predictions: HeldOutPredictions
    classifier: FittedClassifier | None = None
    recalled: bool = False
    degenerate: str | None = None


AnyResult = TypeVar("AnyResult", bound=Result)


def best(results: Sequence[AnyResult]) -> AnyResult:
    """Pick the winner by cross-validated accuracy: the held-out part evaluates, it does not choose.

    Rows of fine-tuning are passed over where there are others: they are validated on one small part that also chose
    the epoch, which flatters them.
    """
    cross_validated = [result for result in results if result.clf not in TUNED]
    return max(cross_validated or results, key=lambda result: result.cv_accuracy)
