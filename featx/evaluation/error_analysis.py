"""What one classifier got right and wrong on the held-out part, class by class and image by image."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from featx.evaluation.metrics import Codes
from featx.evaluation.result import Evaluation, Predictions, TableRow, make_row
from featx.features.dataset import Dataset
from featx.models.model import Model
from featx.types import RowNumbers

MOST_MISTAKES = 10
"""Mistakes that a report names."""


@dataclass(frozen=True)
class ClassReport:
    """How well one class was recognised.

    Attributes
    ----------
    label : str
    precision : float
        Share of the images predicted as this class that are of it; 0 where none was predicted.
    recall : float
        Share of the images of this class that were predicted as it; 0 where there is none.
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
    """A held-out image that was predicted as another class, and the probability stated for that."""

    path: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class HeldOut:
    """The images that a classifier is evaluated on.

    Attributes
    ----------
    paths : list of str
    truth : (m,) int
        Places in `classes`.
    classes : list of str
    """

    paths: list[str]
    truth: Codes
    classes: list[str]


def take_held_out(dataset: Dataset, rows: RowNumbers) -> HeldOut:
    """Take the paths and classes of held-out rows of a data set."""
    return HeldOut([dataset.listing.paths[row] for row in rows], dataset.y[rows], dataset.classes)


def report_classes(held_out: HeldOut, predicted: Codes) -> list[ClassReport]:
    """Compute precision, recall and F1 of every class, in the order of the classes."""
    columns = precision_recall_fscore_support(
        held_out.truth, predicted, labels=range(len(held_out.classes)), zero_division=0
    )
    reports = []
    for label, precision, recall, f1, images in zip(held_out.classes, *columns, strict=True):
        reports.append(
            ClassReport(
                label=label,
                precision=round(float(precision), 6),
                recall=round(float(recall), 6),
                f1=round(float(f1), 6),
                images=int(images),
            )
        )
    return reports


def list_mistakes(held_out: HeldOut, predictions: Predictions, most: int = MOST_MISTAKES) -> list[Mistake]:
    """List the images that were predicted wrongly, the most confident mistake first, at most so many."""
    paths = held_out.paths
    classes = held_out.classes
    wrong = np.flatnonzero(predictions.classes != held_out.truth).tolist()
    wrong.sort(key=lambda row: (-predictions.confidence[row], paths[row]))
    mistakes = []
    for row in wrong[:most]:
        label = classes[held_out.truth[row]]
        predicted = classes[predictions.classes[row]]
        mistakes.append(Mistake(paths[row], label, predicted, float(predictions.confidence[row])))
    return mistakes


@dataclass(frozen=True)
class FitReport:
    """What `fit` gives.

    Attributes
    ----------
    result : TableRow
    classes : list of str
    confusion : (k, k) int
        Held-out images by true (row) and predicted (column) class.
    per_class : list of ClassReport
    mistakes : list of Mistake
        The most confident ones first.
    model : Model or None
        Labels new images; None if it was not to be kept and the result is of an earlier run.
    """

    result: TableRow
    classes: list[str]
    confusion: NDArray[np.intp]
    per_class: list[ClassReport]
    mistakes: list[Mistake]
    # Any stands for None here: who asks for the model, as `fit` does by default, need not check that it is there.
    model: Model | Any = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: the fields of the result, and the details."""
        return {
            **self.result.to_dict(),
            "classes": self.classes,
            "per_class": [asdict(report) for report in self.per_class],
            "confusion": self.confusion.tolist(),
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
        }


def report_fit(
    evaluation: Evaluation, held_out: HeldOut, model: Model | None, row: TableRow | None = None
) -> FitReport:
    """Work out the details of one evaluation.

    Parameters
    ----------
    row : TableRow, optional
        The result with what the cache adds to it.
    """
    predicted = evaluation.predictions.classes
    return FitReport(
        result=row or make_row(evaluation),
        classes=held_out.classes,
        confusion=confusion_matrix(held_out.truth, predicted, labels=range(len(held_out.classes))),
        per_class=report_classes(held_out, predicted),
        mistakes=list_mistakes(held_out, evaluation.predictions),
        model=model,
    )
