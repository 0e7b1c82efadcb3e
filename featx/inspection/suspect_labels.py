"""Labels that the other pictures contradict: confident learning on out-of-fold probabilities.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021). Rows are ranked by
the odds of a model of noise that depends on the true class (Natarajan, Dhillon, Ravikumar and Tewari, "Learning with
Noisy Labels", 2013); how its counts are smoothed is chosen by the likelihood of a Dirichlet-multinomial distribution
(Minka, "Estimating a Dirichlet Distribution", 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from featx.types import Codes

SMALLEST = 1e-12
"""Smaller probabilities are rounding."""

PRIOR_COUNTS = tuple(2.0**power for power in range(11))
"""Wrong labels of a class that may be imagined, spread evenly over the others, beside those that are counted."""

PRIOR_FACTOR = 32.0
"""Times the likeliest of them: pairs that confident learning counts are the plainest, and look too single. Chosen on 17
draws of flipped labels of Flowers-17: from 8 to 64 all rank confused classes better than the margin does (average
precision 0.92 to 0.95 against 0.90, of 10 %), and from 16 on labels flipped at random as their probability does."""


@dataclass(frozen=True)
class SuspectLabels:
    """What out-of-fold probabilities say of labels.

    Attributes
    ----------
    margins : (n,) float64
        Probability of the label less that of the most probable other class, from -1 to 1; NaN of rows that no fold
        judged.
    log_odds : (n,) float64
        Logarithm of the odds that the label is right, by which rows are ranked: its probability against that of every
        other class times how often that class is given this label. See `rate_labels`.
    suggested : (n,) int
        The most probable class.
    is_suspect : (n,) bool
        Rows that confident learning counts as wrong, the most doubtful ones of them.
    estimated : float
        How many labels are wrong, by estimate.
    """

    margins: NDArray[np.float64]
    log_odds: NDArray[np.float64]
    suggested: NDArray[np.intp]
    is_suspect: NDArray[np.bool_]
    estimated: float

    def rank(self) -> NDArray[np.intp]:
        """Give the suspect rows, the most suspect first."""
        order = np.argsort(self.log_odds, kind="stable")
        return order[self.is_suspect[order]]


def find_suspect_labels(probabilities: NDArray[np.float64], labels: Codes) -> SuspectLabels:
    """Judge labels by probabilities of classifiers that never saw the pictures.

    Parameters
    ----------
    probabilities : (n, k) float64
        NaN in rows that were not judged.
    labels : (n,) int
        Classes as they are given.
    """
    judged = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    margins = np.full(len(labels), np.nan)
    log_odds = np.full(len(labels), np.nan)
    suggested = np.array(labels, np.intp)
    is_suspect = np.zeros(len(labels), bool)
    if not len(judged):
        return SuspectLabels(margins, log_odds, suggested, is_suspect, 0.0)
    of_judged = probabilities[judged]
    given = np.asarray(labels)[judged]
    of_label, of_others = compare_with_others(of_judged, given)
    margins[judged] = of_label - of_others
    suggested[judged] = of_judged.argmax(axis=1)
    joint = estimate_joint(of_judged, given)
    log_odds[judged] = rate_labels(of_judged, given, joint)
    wrong_of_class = joint.sum(axis=1) - np.diag(joint)
    estimated = float(wrong_of_class.sum())
    disagrees = np.flatnonzero(margins < 0)
    order = disagrees[np.argsort(log_odds[disagrees], kind="stable")]
    is_suspect[order[: round(estimated)]] = True
    return SuspectLabels(margins, log_odds, suggested, is_suspect, estimated)


def compare_with_others(
    probabilities: NDArray[np.float64], labels: Codes
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the probability of each label, and that of the most probable other class: (n, k), (n,) to (n,) each."""
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1.0
    return probabilities[rows, labels], others.max(axis=1)


def rate_labels(probabilities: NDArray[np.float64], labels: Codes, joint: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the logarithm of the odds that each label is right, (n,), by how often classes are given other labels.

    Where wrong labels are spread evenly this ranks as the label's probability does, and where two classes are taken for
    each other it counts most what a picture has of the other one.

    Parameters
    ----------
    probabilities : (n, k) float64
    labels : (n,) int
    joint : (k, k) float64
        Rows of each label that are truly of each class, as `estimate_joint` gives them.
    """
    wrong = joint.copy()
    np.fill_diagonal(wrong, 0)
    rate = (wrong.sum() + 1) / (joint.sum() + 2)
    shares = smooth_shares(wrong)
    of_wrong = np.empty(len(labels))
    for code in np.unique(labels):
        rows = labels == code
        of_wrong[rows] = probabilities[rows] @ (rate * shares[code])
    of_label = probabilities[np.arange(len(labels)), labels] * (1 - rate)
    rated: NDArray[np.float64] = np.log(np.maximum(of_label, SMALLEST)) - np.log(np.maximum(of_wrong, SMALLEST))
    return rated


def smooth_shares(wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """Say how the wrong labels of each true class are shared among labels: (k, k), labels by row, from counts.

    Counts are few, so that some are imagined beside them: many where those of all classes look evenly spread, few where
    single pairs of classes stand out.
    """
    others = max(1, len(wrong) - 1)
    totals = wrong.sum(axis=0)
    is_other = ~np.eye(len(wrong), dtype=bool)

    def rate_prior(count: float) -> float:
        each = count / others
        of_pairs = (gammaln(each + wrong) - gammaln(each))[is_other].sum()
        return float((gammaln(count) - gammaln(count + totals)).sum() + of_pairs)

    prior = PRIOR_FACTOR * max(PRIOR_COUNTS, key=rate_prior)
    shares: NDArray[np.float64] = np.where(is_other, wrong + prior / others, 0.0) / (totals + prior)
    return shares


def estimate_joint(probabilities: NDArray[np.float64], labels: Codes) -> NDArray[np.float64]:
    """Estimate how many rows of each label are truly of each class: (k, k), labels by row, summing to n.

    A row counts for the most probable of those classes whose probability is at least the mean one that rows of that
    label have; counts are then scaled so that each label has as many as it is given.
    """
    classes = probabilities.shape[1]
    thresholds = np.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    for code in np.flatnonzero(counts):
        thresholds[code] = probabilities[labels == code, code].mean()
    is_confident = probabilities >= thresholds - 1e-9
    confident = np.flatnonzero(is_confident.any(axis=1))
    chosen = np.where(is_confident[confident], probabilities[confident], -1.0).argmax(axis=1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[confident], chosen), 1)
    confident_of_class = joint.sum(axis=1)
    missing = confident_of_class == 0
    joint[missing, missing] = 1
    scaled: NDArray[np.float64] = joint * (counts / np.where(missing, 1, confident_of_class))[:, None]
    return scaled
