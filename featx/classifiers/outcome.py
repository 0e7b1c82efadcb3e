"""What one classifier did on the held-out part, class by class and image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class ClassReport:
    """How one class fared.

    Attributes
    ----------
    label : str
    precision : float
        Share of the images called so that are so; 0 where none is.
    recall : float
        Share of the images that are so and were called so; 0 where none is.
    f1 : float
        Harmonic mean of both.
    images : int
        Held-out images of the class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Mistake:
    """A held-out image that was called something else, and the probability stated for that."""

    path: str
    label: str
    predicted: str
    probability: float


def confusion(truth: Codes, predicted: Codes, classes: int) -> NDArray[np.intp]:
    """Count pairs of true (row) and predicted (column) class: two (n,) int to (k, k) int."""
    counts = np.zeros((classes, classes), np.intp)
    np.add.at(counts, (truth, predicted), 1)
    return counts


def class_reports(counts: NDArray[np.intp], classes: Sequence[str]) -> list[ClassReport]:
    """Sum a (k, k) confusion matrix up, one entry a class."""
    reports = []
    for code, label in enumerate(classes):
        hits, called, there = int(counts[code, code]), int(counts[:, code].sum()), int(counts[code].sum())
        shares = (hits / max(1, called), hits / max(1, there), 2 * hits / max(1, called + there))
        reports.append(ClassReport(label, *(round(share, 6) for share in shares), there))
    return reports


def mistakes(
    paths: Sequence[str],
    labels: Sequence[str],
    predicted: Sequence[str],
    confidence: NDArray[np.float64],
    most: int = 10,
) -> list[Mistake]:
    """List the images called wrongly, the surest mistake first.

    Parameters
    ----------
    paths, labels, predicted : sequences of n str
    confidence : (n,) float64
        Probability of the predicted class.
    most : int
        How many to list.
    """
    wrong = [row for row in range(len(paths)) if labels[row] != predicted[row]]
    wrong.sort(key=lambda row: (-confidence[row], paths[row]))
    return [Mistake(paths[row], labels[row], predicted[row], float(confidence[row])) for row in wrong[:most]]
