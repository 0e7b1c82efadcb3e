"""How sure an accuracy from nested cross-validation is: intervals that do not take folds for independent.

Images are judged by models that share most of their training images, so n judged images say less than n tosses of a
coin, and no single cross-validation tells how much less without bias (Bengio and Grandvalet, "No unbiased estimator of
the variance of k-fold cross-validation", 2004). Nadeau and Bengio, "Inference for the generalization error" (2003),
take (1/J + n_test/n_train) S^2 for the variance of the mean of J test parts. As it is often used, with Student's t and
the variance of five folds, that covers 99 % and more where 95 % are meant; it is kept beside ours
(`correct_by_nadeau_bengio`). The one that is shown has the binomial variance of n images times the sum of three terms:

- **The images themselves**: 1. At chance, where each fold's model is another accident, repeats average a part of it:
  two repeats train on (K-1)/K of the same images, and signs of margins that correlate by that agree by 2/pi times its
  arcsine.
- **Pairs of images**: a linear classifier judges image i by its margin, a sum over training images j of similarity
  times label. Label j moves the margin of i as much as label i moves that of j, by the same similarity. Over all pairs
  in different folds, margins correlate by 1/n on average, and n times 1/n adds up. How much the probability p of being
  right hangs on the margin is the normal density at the quantile of p: density^2 / (p(1-p)), which is 2/pi at p = 1/2,
  0.49 at 0.8, 0.22 at 0.95. After R repeats 1 - (1 - 1/R)/K of that remains.
- **The model that is shipped** is another one than those of the folds: it has seen n_test more images. That is Nadeau
  and Bengio's n_test/n_train = 1/(K-1), and nothing at chance, where no model is better than another.

All accuracies p that a test of 5 % with this variance would not refuse are the interval, as in Wilson (1927), for the
models of the folds. **The one that is shipped has seen more images**, and is better by what nobody knows: with a strong
rule and a hundred images by one to five points, which left 88 to 94 % covered, all misses above the upper bound.
Mistakes that further images take away fall no faster than images grow in number, so 1/K of them at most. What has been
learnt so far, (p - chance) / (1 - chance), says what share of the mistakes may be of that kind, since of a weak rule
most are noise. Learning curves are flatter than that, but not flat: the upper bound is moved up by `MOST_OF_GAIN` of
the product, the lower one by `LEAST_OF_GAIN`, and never above the accuracy itself. Where the upper one was moved by all
of it and the lower one stayed, the interval of several hundred images covered 98 to 99 %. What it covers:
`benchmarks/results/interval.txt` (ridge regression and nearest neighbours), and through all of featx, as far as that
was run, `benchmarks/results/nested.txt`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from featx.evaluation.metrics import Z95
from featx.features.groups import has_company

BISECTIONS = 60
"""Halvings of an interval of length 1: beyond the digits of a float."""

LEAST_OF_GAIN = 0.25
MOST_OF_GAIN = 0.9
"""How much of what further images may bring at most is expected: chosen on data sets like those of
`benchmarks/interval.py`, drawn by another seed."""

UPPER_TAIL = 0.975
"""Where the upper bound of a 95 % interval lies."""


@dataclass(frozen=True)
class Resampling:
    """How an accuracy was measured.

    Attributes
    ----------
    images : float
        How many different images were judged, or what those of groups count as.
    chance : float
        Accuracy of the most frequent class.
    folds, repeats : int
    """

    images: float
    chance: float
    folds: int
    repeats: int = 1


def corrected_interval(accuracy: float, resampling: Resampling) -> tuple[float, float]:
    """Give the 95 % interval of an accuracy from cross-validation.

    Parameters
    ----------
    accuracy : float
        Share of the images that were judged rightly, or its mean over the repeats.
    resampling : Resampling

    Returns
    -------
    tuple of two floats
        Lower and upper bound, from 0 to 1.

    Raises
    ------
    ValueError
        If no image was judged.
    """
    if resampling.images <= 0:
        raise ValueError("an interval needs at least one judged image")

    def is_refused(truth: float) -> bool:
        """Whether the accuracy is too far from what may be the true one."""
        variance = truth * (1 - truth) / resampling.images * inflate_variance(truth, resampling)
        return abs(accuracy - truth) > Z95 * math.sqrt(variance)

    low, high = (find_bound(accuracy, end, is_refused) for end in (0.0, 1.0))
    # Nothing is learnt at chance, so more images bring nothing there.
    learns = 1 - rate_closeness(accuracy, resampling)
    low += learns * LEAST_OF_GAIN * bound_gain(low, resampling)
    high += learns * MOST_OF_GAIN * bound_gain(high, resampling)
    return min(low, accuracy), high


def bound_gain(accuracy: float, resampling: Resampling) -> float:
    """Say how much better a model of all images is than those of the folds at most, from 0 to 1.

    Parameters
    ----------
    accuracy : float
        Of the models of the folds.
    resampling : Resampling
    """
    if resampling.chance >= 1:
        return 0.0
    learnt = max(0.0, (accuracy - resampling.chance) / (1 - resampling.chance))
    return learnt * (1 - accuracy) / resampling.folds


def inflate_variance(accuracy: float, resampling: Resampling) -> float:
    """Give the variance of an accuracy from cross-validation as a multiple of the binomial one.

    Parameters
    ----------
    accuracy : float
        The true one.
    resampling : Resampling
    """
    folds = resampling.folds
    averaged = 1 - 1 / resampling.repeats
    if not 0 < accuracy < 1:
        return 1.0
    density = math.exp(-(float(ndtri(accuracy)) ** 2) / 2) / math.sqrt(2 * math.pi)
    pairs = density**2 / (accuracy * (1 - accuracy)) * (1 - averaged / folds)
    at_chance = rate_closeness(accuracy, resampling)
    agreement = 2 / math.pi * math.asin((folds - 1) / folds)
    images = 1 - at_chance * averaged * (1 - agreement)
    shipped = (1 - at_chance) / max(folds - 1, 1)
    return images + pairs + shipped


def rate_closeness(accuracy: float, resampling: Resampling) -> float:
    """Say how close an accuracy is to chance, by its standard error there: 1 at chance, 0.14 two of them away."""
    variance = resampling.chance * (1 - resampling.chance) / resampling.images
    if not variance:
        return 1.0 if accuracy == resampling.chance else 0.0
    return math.exp(-((accuracy - resampling.chance) ** 2) / variance / 2)


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


def describe_interval(accuracy: float, resampling: Resampling, has_groups: bool) -> str:
    """Say in words which interval this is, and what a hundred images count as near an accuracy."""
    effective = round(100 / inflate_variance(accuracy, resampling))
    groups = ", and for groups, whose images are right or wrong together" if has_groups else ""
    return (
        "Wilson's interval, corrected for training images that folds share in the manner of Nadeau and Bengio (2003), "
        f"and upwards for the images that the model of all has seen beyond them{groups}: near {accuracy:.2f}, 100 "
        f"judged images count as {effective}"
    )
