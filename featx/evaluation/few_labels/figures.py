"""The records of few labels: a point for each number of labelled images, a curve for each row, and the whole."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from featx.evaluation.nested.interval import UPPER_TAIL

DIGITS = 6
"""Digits after the point in JSON and CSV, as in results."""


def halve_interval(accuracies: Sequence[float]) -> float | None:
    """Give half of the 95 % interval of a mean: Student's t times the standard error (Student, 1908).

    Parameters
    ----------
    accuracies : sequence of float
        One for each draw.

    Returns
    -------
    float or None
        None where there is one draw.
    """
    count = len(accuracies)
    if count < 2:
        return None
    error = statistics.stdev(accuracies) / math.sqrt(count)
    return float(stdtrit(count - 1, UPPER_TAIL)) * error


@dataclass(frozen=True)
class Point:
    """The accuracy with so many labelled images of each class.

    Attributes
    ----------
    shots : int
        Labelled images of each class that has so many.
    labels : int
        Labelled images in all.
    accuracies : tuple of float
        Share of the held-out images that the classifier of each draw labels correctly.
    params : tuple of dict
        Hyper-parameters in each draw.
    """

    shots: int
    labels: int
    accuracies: tuple[float, ...]
    params: tuple[dict[str, float], ...]

    @property
    def mean(self) -> float:
        """Mean over the draws."""
        return statistics.fmean(self.accuracies)

    @property
    def half(self) -> float | None:
        """Half of the 95 % interval of the mean; None where there is one draw."""
        return halve_interval(self.accuracies)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; the bounds of the interval lie between 0 and 1."""
        half = self.half
        return {
            "shots": self.shots,
            "labels": self.labels,
            "mean": round(self.mean, DIGITS),
            "low": None if half is None else round(max(0.0, self.mean - half), DIGITS),
            "high": None if half is None else round(min(1.0, self.mean + half), DIGITS),
            "accuracies": [round(accuracy, DIGITS) for accuracy in self.accuracies],
            "params": list(self.params),
        }


@dataclass(frozen=True)
class Curve:
    """A layer set and a classifier with few labels.

    Attributes
    ----------
    base, layer, pooling, clf : str
    points : tuple of Point
        With rising shots.
    whole : float
        Accuracy with the whole training part, from the usual table.
    """

    base: str
    layer: str
    pooling: str
    clf: str
    points: tuple[Point, ...]
    whole: float


@dataclass(frozen=True)
class FewLabels:
    """All curves of a comparison.

    Attributes
    ----------
    curves : tuple of Curve
        In the order of the table.
    draws, seed : int
        Draws, and the seed of the first; the others have the seeds after it.
    train : int
        Images of the whole training part.
    notes : tuple of str
        What is to be known of them, a phrase each.
    """

    curves: tuple[Curve, ...]
    draws: int
    seed: int
    train: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: `shots`, one dict a point, and `shots_notes`."""
        return {"shots": self.to_dicts(), "shots_notes": list(self.notes)}

    def to_dicts(self) -> list[dict[str, Any]]:
        """Give plain values for JSON, one dict a point."""
        points = []
        for curve in self.curves:
            names = {"layer": curve.layer, "pooling": curve.pooling, "clf": curve.clf, "base": curve.base}
            points += [{**names, **point.to_dict()} for point in curve.points]
        return points
