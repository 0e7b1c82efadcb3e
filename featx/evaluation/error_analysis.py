"""What one classifier got right and wrong on the held-out part, class by class and image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from featx.evaluation.result import HeldOutPredictions
from featx.features.dataset import Dataset
from featx.types import Codes, RowNumbers

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
    split : str
        What was held out and what was trained on, in words.
    """

    paths: list[str]
    truth: Codes
    classes: list[str]
    split: str = ""


def take_held_out(dataset: Dataset, rows: RowNumbers) -> HeldOut:
    """Take the paths and classes of held-out rows of a data set."""
    paths = [dataset.listing.paths[row] for row in rows]
    return HeldOut(paths, dataset.y[rows], dataset.classes, dataset.split)


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


def list_mistakes(held_out: HeldOut, predictions: HeldOutPredictions, most: int = MOST_MISTAKES) -> list[Mistake]:
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
