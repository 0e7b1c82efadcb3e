"""Labels that the other pictures contradict: confident learning on out-of-fold probabilities.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels" (2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.types import Codes

SMALLEST = 1e-12
"""Smaller probabilities are rounding."""


@dataclass(frozen=True)
class SuspectLabels:
    """What out-of-fold probabilities say of labels.

    Attributes
    ----------
    margins : (n,) float64
        Probability of the label less that of the most probable other class, from -1 to 1; NaN of rows that no fold
        judged.
    log_odds : (n,) float64
        Logarithm of the probability of the label over that of the most probable other class, by which rows are ranked.
        Of flipped labels of Flowers-17 it ranks those that look like any class better than the margin (average
        precision 0.99 against 0.96), and those of confused classes better than the label's probability alone (0.87
        against 0.85).
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
    log_odds[judged] = np.log(np.maximum(of_label, SMALLEST)) - np.log(np.maximum(of_others, SMALLEST))
    suggested[judged] = of_judged.argmax(axis=1)
    joint = estimate_joint(of_judged, given)
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
