"""Figures that say how good a classifier is, and how sure that is."""

from __future__ import annotations

import math
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

Codes = NDArray[np.integer[Any]]
Z95 = 1.959963984540054
BINS = 15


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Give the 95 % interval of an accuracy (Wilson, 1927: the score interval of a binomial share).

    Parameters
    ----------
    hits, total : int
        Images classified rightly, and all that were judged.

    Returns
    -------
    tuple of two floats
        Lower and upper bound, from 0 to 1.

    Raises
    ------
    ValueError
        If nothing was judged.
    """
    if total < 1:
        raise ValueError("an interval needs at least one judged image")
    share, spread = hits / total, Z95**2 / total
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def balanced_accuracy(truth: Codes, predicted: Codes) -> float:
    """Average the share of each class that was found, over the classes that occur; both (n,) int."""
    return float(np.mean([(predicted[truth == code] == code).mean() for code in np.unique(truth)]))


def macro_f1(truth: Codes, predicted: Codes) -> float:
    """Average F1 = 2 hits / (true + predicted) over the classes that occur in either; both (n,) int."""
    codes = np.union1d(truth, predicted)
    hits = np.array([((truth == code) & (predicted == code)).sum() for code in codes])
    totals = np.array([(truth == code).sum() + (predicted == code).sum() for code in codes])
    return float(np.mean(2 * hits / totals))


def top_accuracy(truth: Codes, probabilities: NDArray[np.float64], most: int = 5) -> float | None:
    """Give the share of rows whose class is among the most probable ones.

    Parameters
    ----------
    truth : (n,) int
    probabilities : (n, k) float64
    most : int
        How many count; an equally probable class comes before the true one.

    Returns
    -------
    float or None
        None where there are fewer than twice as many classes, so that it would say little.
    """
    if probabilities.shape[1] < 2 * most:
        return None
    own = probabilities[np.arange(len(truth)), truth]
    return float(((probabilities >= own[:, None]).sum(axis=1) <= most).mean())


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Give the expected calibration error: how far stated probabilities lie from the share that is right.

    15 bins of equal width, their gaps weighted by their rows (Guo et al., 2017, equation 3).

    Parameters
    ----------
    confidence : (n,) float64
        Probability of the class that was chosen.
    right : (n,) bool
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, confidence, BINS) - np.bincount(bins, right, BINS)
    return float(np.abs(gaps).sum() / len(right))


def mcnemar(right: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Test whether two classifiers judged on the same rows differ: the exact test of McNemar (1947).

    Of the rows that only one of the two gets right, half would fall to each if they were equally good; the p value is
    the two-sided binomial probability of a split as uneven as this one.

    Parameters
    ----------
    right, other : (n,) bool
        Rows that each of the two gets right.

    Returns
    -------
    float
        1 where they never differ.
    """
    first, second = int((right & ~other).sum()), int((other & ~right).sum())
    return min(1.0, 2 * float(bdtr(min(first, second), first + second, 0.5))) if first + second else 1.0


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


def figures(truth: Codes, predicted: Codes, probabilities: NDArray[np.float64]) -> Scores:
    """Work out every figure of a result on the held-out part.

    Parameters
    ----------
    truth, predicted : (m,) int
        Places of classes.
    probabilities : (m, k) float64

    Returns
    -------
    Scores
        To six digits.
    """
    right = predicted == truth
    low, high = wilson(int(right.sum()), len(truth))
    top5 = top_accuracy(truth, probabilities)
    return Scores(
        n_test=len(truth),
        test_accuracy=round(float(right.mean()), 6),
        ci_low=round(low, 6),
        ci_high=round(high, 6),
        macro_f1=round(macro_f1(truth, predicted), 6),
        balanced_accuracy=round(balanced_accuracy(truth, predicted), 6),
        top5_accuracy=None if top5 is None else round(top5, 6),
        calibration_error=round(calibration_error(probabilities[np.arange(len(truth)), predicted], right), 6),
    )
