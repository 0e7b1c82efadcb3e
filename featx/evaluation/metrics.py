"""Figures that say how good a classifier is, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr
from sklearn.metrics import matthews_corrcoef

from featx.classifiers.figures import balanced_accuracy, macro_f1, pick_or_average, rank_classes
from featx.evaluation.result import Figures
from featx.types import Codes

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution: 95 % lie between it and its negative."""

BINS = 15
"""Bins of the calibration error, as Guo et al. (2017) take them."""

TOP = 5

SIGNIFICANCE = 0.05
"""Two classifiers whose p value is at least this cannot be told apart."""

# The Wilson interval and McNemar's test are written by hand: each is a few lines, held to scipy's numbers by the tests,
# while importing scipy.stats takes a second where scikit-learn has not already done so. What scikit-learn itself has is
# taken from there, since cross-validation imports it anyway.


def wilson(hits: float, total: float) -> tuple[float, float]:
    """Give the 95 % interval of an accuracy (Wilson, 1927: the score interval of a binomial share).

    Parameters
    ----------
    hits, total : float
        Images classified correctly, and all images evaluated: whole numbers, unless images count as less than one.

    Returns
    -------
    tuple of two floats
        Lower and upper bound, from 0 to 1.

    Raises
    ------
    ValueError
        If no image was evaluated.
    """
    if total <= 0:
        raise ValueError("an interval needs at least one evaluated image")
    share = hits / total
    spread = Z95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def top_accuracy(truth: Codes, probabilities: NDArray[np.float64], top: int = TOP) -> float | None:
    """Give the share of rows whose class is among the most probable ones.

    An equally probable class comes before the true one. scikit-learn's `top_k_accuracy_score` lets the order of the
    classes decide instead, which flatters an SVM whose probabilities are rounded to zero.

    Parameters
    ----------
    truth : (n,) int
    probabilities : (n, k) float64
    top : int
        How many of the most probable classes count.

    Returns
    -------
    float or None
        None where there are fewer than twice as many classes, so that it would say little.
    """
    if probabilities.shape[1] < 2 * top:
        return None
    of_truth = probabilities[np.arange(len(truth)), truth]
    ranks = (probabilities >= of_truth[:, None]).sum(axis=1)
    return float((ranks <= top).mean())


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Give the expected calibration error: how far stated probabilities lie from the share that is right.

    15 bins of equal width, their gaps weighted by their rows (Guo et al., 2017, equation 3).

    Parameters
    ----------
    confidence : (n,) float64
        Probability of the class that was chosen.
    right : (n,) bool
    """
    # Bins are open at their lower edge and closed at the upper one, as in the paper.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, confidence, BINS) - np.bincount(bins, right, BINS)
    return float(np.abs(gaps).sum() / len(right))


def mcnemar(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Test whether two classifiers differ on the same rows: the exact test of McNemar (1947).

    Rows that only one of the two gets right would fall to each with equal chance if they were equally good; the p value
    is the two-sided binomial probability of a split as uneven as this one.

    Parameters
    ----------
    right, other : (n,) bool
        Rows that each of the two gets right.

    Returns
    -------
    float
        1 where they never differ.
    """
    only_first = int((right & ~other).sum())
    only_second = int((other & ~right).sum())
    differing = only_first + only_second
    if not differing:
        return 1.0
    one_sided = float(bdtr(min(only_first, only_second), differing, 0.5))
    return min(1.0, 2 * one_sided)


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values of several tests so that all of them together are held to one level.

    Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    list of float
        In the same order.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    rising = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(rising):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


class Scores(TypedDict):
    """The fields of a `Result` that the held-out part decides."""

    n_test: int
    test_accuracy: float
    ci_low: float
    ci_high: float
    macro_f1: float
    balanced_accuracy: float
    top5_accuracy: float | None
    calibration_error: float


def score_predictions(truth: Codes, predicted: Codes, probabilities: NDArray[np.float64]) -> Scores:
    """Compute every figure of a result on the held-out part.

    Parameters
    ----------
    truth, predicted : (m,) int
        Places of classes.
    probabilities : (m, k) float64

    Returns
    -------
    Scores
        Rounded to six digits.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    right = predicted == truth
    low, high = wilson(int(right.sum()), len(truth))
    top5 = top_accuracy(truth, probabilities)
    confidence = probabilities[np.arange(len(truth)), predicted]
    return Scores(
        n_test=len(truth),
        test_accuracy=round(float(right.mean()), 6),
        ci_low=round(low, 6),
        ci_high=round(high, 6),
        macro_f1=round(macro_f1(truth, predicted), 6),
        balanced_accuracy=round(balanced_accuracy(truth, predicted), 6),
        top5_accuracy=None if top5 is None else round(top5, 6),
        calibration_error=round(calibration_error(confidence, right), 6),
    )


def compute_figures(
    truth: Codes, predicted: Codes, classes: int, probabilities: NDArray[np.float64] | None = None
) -> Figures:
    """Compute the further figures of the held-out part.

    Parameters
    ----------
    truth, predicted : (m,) int
        Places of classes.
    classes : int
        How many there are.
    probabilities : (m, k) float64, optional
        Without them, figures of probabilities are left out.

    Returns
    -------
    Figures
        Rounded to six digits.
    """
    # Where all images are of one class there is nothing to correlate with, of which scikit-learn warns.
    has_several = len(np.unique(truth)) > 1
    matthews = as_figure(float(matthews_corrcoef(truth, predicted))) if has_several else None
    recall: list[float | None] = []
    if classes == 2:
        for code in (0, 1):
            of_class = predicted[truth == code] == code
            recall.append(as_figure(float(of_class.mean())) if len(of_class) else None)
    if probabilities is None:
        return Figures(matthews, tuple(recall))
    ranking = rank_classes(truth, probabilities)
    return Figures(
        matthews, tuple(recall), summarise_classes(ranking.roc_auc), summarise_classes(ranking.average_precision)
    )


def summarise_classes(of_classes: NDArray[np.float64]) -> tuple[float | None, ...]:
    """Keep the figures of either class of two; of more classes, (k,), their mean as far as it is defined."""
    positives = (0, 1) if len(of_classes) == 2 else (0,)
    return tuple(as_figure(pick_or_average(of_classes, positive)) for positive in positives)


def as_figure(value: float) -> float | None:
    """Round a figure to six digits; None where it is not defined (NaN)."""
    return None if math.isnan(value) else round(value, 6)
