"""What one classifier did on the held-out part, class by class and image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.metrics import mcnemar
from featx.evaluation.result import Result, best
from featx.evaluation.result_cache import Evaluation
from featx.models.model import Model

Codes = NDArray[np.integer[Any]]
MOST = 10
"""How many mistakes are named."""


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
        precision, recall, f1 = hits / max(1, called), hits / max(1, there), 2 * hits / max(1, called + there)
        reports.append(ClassReport(label, round(precision, 6), round(recall, 6), round(f1, 6), there))
    return reports


@dataclass(frozen=True)
class HeldOut:
    """The rows that a classifier is judged on.

    Attributes
    ----------
    paths : list of str
    truth : (n,) int
        Places in `classes`.
    classes : list of str
    """

    paths: list[str]
    truth: Codes
    classes: list[str]


def mistakes(held_out: HeldOut, judged: Evaluation, most: int = MOST) -> list[Mistake]:
    """List the images called wrongly, the surest mistake first, at most so many."""
    paths, classes = held_out.paths, held_out.classes
    wrong = np.flatnonzero(judged.predicted != held_out.truth).tolist()
    wrong.sort(key=lambda row: (-judged.confidence[row], paths[row]))
    return [
        Mistake(
            paths[row],
            classes[held_out.truth[row]],
            classes[judged.predicted[row]],
            float(judged.confidence[row]),
        )
        for row in wrong[:most]
    ]


@dataclass(frozen=True)
class FitReport:
    """What `fit` gives.

    Attributes
    ----------
    result : Result
    classes : list of str
    confusion : (k, k) int
        Held-out images by true (row) and predicted (column) class.
    per_class : list of ClassReport
    mistakes : list of Mistake
        The surest ones first.
    """

    result: Result
    classes: list[str]
    confusion: NDArray[np.intp]
    per_class: list[ClassReport]
    mistakes: list[Mistake]
    build: Callable[[], Model] = field(repr=False, compare=False)

    @cached_property
    def model(self) -> Model:
        """The model that labels new images; fitted when it is first asked for."""
        return self.build()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: the fields of the result, and the details."""
        details = {"per_class": [asdict(one) for one in self.per_class], "confusion": self.confusion.tolist()}
        wrong = [asdict(one) for one in self.mistakes]
        return {**self.result.to_dict(), "classes": self.classes, **details, "mistakes": wrong}


def describe(judged: Evaluation, held_out: HeldOut, build: Callable[[], Model]) -> FitReport:
    """Work out the details of one evaluation.

    Parameters
    ----------
    build : callable
        Makes the model, when it is asked for.
    """
    counts = confusion(held_out.truth, judged.predicted, len(held_out.classes))
    reports, wrong = class_reports(counts, held_out.classes), mistakes(held_out, judged)
    return FitReport(judged.result, held_out.classes, counts, reports, wrong, build)


def with_p_values(judged: Sequence[Evaluation], truth: NDArray[np.intp]) -> list[Result]:
    """Compare every row with the best one, image by image."""
    winner = best([one.result for one in judged])
    right = next(one.predicted == truth for one in judged if one.result is winner)
    return [replace(one.result, p_value=round(mcnemar(right, one.predicted == truth), 6)) for one in judged]
