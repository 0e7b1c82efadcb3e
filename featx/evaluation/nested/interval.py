"""How sure an accuracy from nested cross-validation is: intervals that do not take folds for independent.

Images are judged by models that share most of their training images, so n judged images say less than n tosses of a
coin, and no single cross-validation tells how much less without bias (Bengio and Grandvalet, "No unbiased estimator of
the variance of k-fold cross-validation", 2004). Nadeau and Bengio, "Inference for the generalization error" (2003), put
a correlation between test parts into the variance of their mean, and take n_test / n for it. With one repeat of five
folds that is too much: Student's t for five folds and their variance cover 99 % and more where 95 % are meant. Their
interval is kept beside ours (`correct_by_nadeau_bengio`); the one that is shown works the same correlation out for
single images, as follows.

A linear classifier judges image i by its margin, a sum over training images j of similarity times label. Label j moves
the margin of i as much as label i moves that of j, by the same similarity. Over all pairs in different folds, margins
of two images correlate by 1/n on average, and n times 1/n adds up. How much the probability of being right hangs on the
margin is the normal density at the quantile of that probability, p. So the variance of the accuracy is

    p(1-p)/n (1 + pairs),    pairs = density(quantile(p))^2 / (p(1-p)),

which is 1 + 2/pi = 1.64 times the binomial one at p = 1/2, 1.49 times at 0.8, 1.22 times at 0.95. Another repeat of K
folds has no new images. It only changes which label moves which margin: two repeats share (K-1)/K of that, so that
1 - (1 - 1/R)/K of `pairs` remains after R repeats.

All accuracies p that a test of 5 % with this variance would not refuse are the interval, as in Wilson (1927). What it
covers in simulations, from labels that say nothing to strong rules: `benchmarks/results/nested.txt`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from featx.evaluation.metrics import Z95
from featx.features.groups import has_company

BISECTIONS = 60
"""Halvings of an interval of length 1: beyond the digits of a float."""

UPPER_TAIL = 0.975
"""Where the upper bound of a 95 % interval lies."""


def corrected_interval(accuracy: float, images: float, folds: int, repeats: int = 1) -> tuple[float, float]:
    """Give the 95 % interval of an accuracy from cross-validation.

    Parameters
    ----------
    accuracy : float
        Share of the images that were judged rightly, or its mean over the repeats.
    images : float
        How many different images were judged, or what those of groups count as.
    folds, repeats : int

    Returns
    -------
    tuple of two floats
        Lower and upper bound, from 0 to 1.

    Raises
    ------
    ValueError
        If no image was judged.
    """
    if images <= 0:
        raise ValueError("an interval needs at least one judged image")

    def is_refused(truth: float) -> bool:
        """Whether the accuracy is too far from what may be the true one."""
        variance = truth * (1 - truth) / images * inflate_variance(truth, folds, repeats)
        return abs(accuracy - truth) > Z95 * math.sqrt(variance)

    return find_bound(accuracy, 0.0, is_refused), find_bound(accuracy, 1.0, is_refused)


def inflate_variance(accuracy: float, folds: int, repeats: int = 1) -> float:
    """Give the variance of an accuracy from cross-validation as a multiple of the binomial one.

    Parameters
    ----------
    accuracy : float
        The true one.
    folds, repeats : int
    """
    if not 0 < accuracy < 1:
        return 1.0
    density = math.exp(-(float(ndtri(accuracy)) ** 2) / 2) / math.sqrt(2 * math.pi)
    pairs = density**2 / (accuracy * (1 - accuracy))
    return 1 + pairs * (1 - (1 - 1 / repeats) / folds)


def count_independent(right: NDArray[np.bool_], groups: NDArray[np.intp]) -> float:
    """Say what number of independent images those of groups count as: all of them where each is a group of its own.

    The design effect of cluster sampling (Kish, "Survey sampling", 1965), estimated by residuals: how much the sum over
    groups varies beyond that over images. Where all images are right, or all wrong, nothing tells; groups are counted.

    Parameters
    ----------
    right : (n,) bool
    groups : (n,) int
    """
    if not has_company(groups):
        return float(len(right))
    _, codes = np.unique(groups, return_inverse=True)
    residuals = right - right.mean()
    of_groups = np.bincount(codes, residuals)
    total = float((residuals**2).sum())
    if not total:
        return float(codes.max() + 1)
    return len(right) / max(1.0, float((of_groups**2).sum()) / total)


def find_bound(inside: float, outside: float, is_refused: Callable[[float], bool]) -> float:
    """Find the last value that is not refused on the way from one that is not to another."""
    # An end that is the accuracy itself.
    if not is_refused(outside):
        return outside
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        if is_refused(middle):
            outside = middle
        else:
            inside = middle
    return inside


def correct_by_nadeau_bengio(fold_accuracies: Sequence[float], folds: int) -> tuple[float, float] | None:
    """Give the interval of Nadeau and Bengio (2003): the mean of J folds, Student's t, (1/J + n_test/n_train) S^2.

    Parameters
    ----------
    fold_accuracies : sequence of J floats
        Of all folds of all repeats.
    folds : int
        Of one repeat, which make n_test/n_train = 1 / (folds - 1).

    Returns
    -------
    tuple of two floats, or None
        None where there is one fold.
    """
    count = len(fold_accuracies)
    if count < 2 or folds < 2:
        return None
    mean = statistics.fmean(fold_accuracies)
    variance = (1 / count + 1 / (folds - 1)) * statistics.variance(fold_accuracies)
    half = float(stdtrit(count - 1, UPPER_TAIL)) * math.sqrt(variance)
    return max(0.0, mean - half), min(1.0, mean + half)


def describe_interval(accuracy: float, folds: int, repeats: int, has_groups: bool) -> str:
    """Say in words which interval this is, and what a hundred images count as near an accuracy."""
    effective = round(100 / inflate_variance(accuracy, folds, repeats))
    groups = ", and for groups, whose images are right or wrong together" if has_groups else ""
    return (
        "Wilson's interval, corrected for training images that folds share in the manner of Nadeau and Bengio (2003)"
        f"{groups}: near {accuracy:.2f}, 100 judged images count as {effective}"
    )
