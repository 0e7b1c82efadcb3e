"""What a report draws of one classifier: how far stated probabilities hold, and what a threshold would change.

Everything is made of the predicted classes and their probabilities, which earlier runs have kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.metrics import BINS, wilson
from featx.evaluation.result import HeldOutPredictions
from featx.types import Codes

DIGITS = 6


def f1_interval(right: int, wrong: int) -> tuple[float, float]:
    """Give the 95 % interval of an F1.

    F1 = 2 J / (1 + J) rises with the Jaccard index J, the share of right ones among all images that are of the class or
    were called it. So the bounds of J's interval (Wilson, 1927) are those of F1 once they are carried over.

    Parameters
    ----------
    right : int
        Images of the class that were predicted as it.
    wrong : int
        Images of the class that were not, and images of others that were.

    Returns
    -------
    tuple of two floats
        From 0 to 1.

    Raises
    ------
    ValueError
        If both are zero.
    """
    low, high = wilson(right, right + wrong)
    return 2 * low / (1 + low), 2 * high / (1 + high)


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose probability lies in one range.

    Attributes
    ----------
    low, high : float
        Bounds of the range.
    images : int
    confidence : float
        Their mean probability.
    accuracy : float
        The share of them that is right.
    ci_low, ci_high : float
        The 95 % interval of that share (Wilson).
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float
    ci_low: float
    ci_high: float


def trace_reliability(truth: Codes, predictions: HeldOutPredictions) -> list[ReliabilityBin]:
    """Compare stated probabilities with the shares that are right, in the bins of the calibration error.

    Parameters
    ----------
    truth : (m,) int

    Returns
    -------
    list of ReliabilityBin
        Without those that hold no image.
    """
    right = predictions.classes == truth
    # Open at the lower edge and closed at the upper one, as the calibration error has them.
    places = np.clip(np.ceil(predictions.confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for place in np.unique(places).tolist():
        inside = places == place
        images = int(inside.sum())
        hits = int(right[inside].sum())
        low, high = wilson(hits, images)
        bins.append(
            ReliabilityBin(
                low=round(place / BINS, DIGITS),
                high=round((place + 1) / BINS, DIGITS),
                images=images,
                confidence=round(float(predictions.confidence[inside].mean()), DIGITS),
                accuracy=round(hits / images, DIGITS),
                ci_low=round(low, DIGITS),
                ci_high=round(high, DIGITS),
            )
        )
    return bins


@dataclass(frozen=True)
class ThresholdCurve:
    """What every threshold on the probability of the positive class of two would give.

    Attributes
    ----------
    thresholds : list of float
        Falling. Images of this probability or more are called positive; the first one calls none so.
    true_positives, false_positives : list of int
    positives, negatives : int
        Images of either class.
    """

    thresholds: list[float]
    true_positives: list[int]
    false_positives: list[int]
    positives: int
    negatives: int


def score_positive(predictions: HeldOutPredictions, positive: int) -> NDArray[np.float64]:
    """Give the probability of one of two classes: (m,) float64."""
    return np.where(predictions.classes == positive, predictions.confidence, 1 - predictions.confidence).round(DIGITS)


def trace_thresholds(truth: Codes, scores: NDArray[np.float64], positive: int) -> ThresholdCurve:
    """Count what every threshold would give.

    Parameters
    ----------
    truth : (m,) int
        0 or 1.
    scores : (m,) float64
        Probabilities of the positive class.
    positive : int
        Its place.
    """
    is_positive = truth == positive
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    # Images of equal probability are called positive together.
    last_of_equals = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    true_positives = np.cumsum(is_positive[order])[last_of_equals]
    false_positives = np.cumsum(~is_positive[order])[last_of_equals]
    return ThresholdCurve(
        thresholds=[round(float(ranked[0]) + 1e-6, DIGITS), *ranked[last_of_equals].tolist()],
        true_positives=[0, *true_positives.tolist()],
        false_positives=[0, *false_positives.tolist()],
        positives=int(is_positive.sum()),
        negatives=int((~is_positive).sum()),
    )
