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

from scipy.special import ndtri, stdtrit

from featx.evaluation.metrics import Z95

BISECTIONS = 60
"""Halvings of an interval of length 1: beyond the digits of a float."""

UPPER_TAIL = 0.975
"""Where the upper bound of a 95 % interval lies."""


def corrected_interval(accuracy: float, images: int, folds: int, repeats: int = 1) -> tuple[float, float]:
    """Give the 95 % interval of an accuracy from cross-validation.

    Parameters
    ----------
    accuracy : float
        Share of the images that were judged rightly, or its mean over the repeats.
    images : int
        How many different images were judged.
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
    if images < 1:
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


def describe_interval(images: int, accuracy: float, folds: int, repeats: int) -> str:
    """Say in words which interval this is, and what n images count as near an accuracy."""
    effective = round(images / inflate_variance(accuracy, folds, repeats))
    return (
        f"Wilson's interval, corrected for training images that folds share in the manner of Nadeau and Bengio (2003): "
        f"near {accuracy:.2f}, {images} judged images count as {effective}"
    )
