"""What `fit` returns: the figures of one classifier, its classes, its mistakes, and the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from featx.evaluation.error_analysis import ClassReport, HeldOut, Mistake, list_mistakes, report_classes
from featx.evaluation.nested.figures import NestedReport
from featx.evaluation.result import Evaluation, choose_positive
from featx.evaluation.table_row import TableRow, make_row
from featx.models.model import Model


@dataclass(frozen=True)
class NestedFit:
    """What nested cross-validation says of one configuration.

    Attributes
    ----------
    result : TableRow
        Its figures are those of all judged images.
    report : NestedReport
    """

    result: TableRow
    report: NestedReport

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: the fields of a result, and how they came about."""
        return {**self.result.to_dict(), **self.report.to_dict()["nested"], **asdict(self.result)["nested"]}


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
    split : str
        What was held out and what was trained on, in words.
    model : Model or None
        Labels new images; None if it was not to be kept and the result is of an earlier run.
    nested : NestedFit or None
        The same configuration in nested cross-validation, where it was asked for.
    """

    result: TableRow
    classes: list[str]
    confusion: NDArray[np.intp]
    per_class: list[ClassReport]
    mistakes: list[Mistake]
    split: str
    # Any stands for None here: who asks for the model, as `fit` does by default, need not check that it is there.
    model: Model | Any = field(default=None, repr=False, compare=False)
    nested: NestedFit | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON: the fields of the result, and the details."""
        values = {
            **self.result.to_dict(),
            "classes": self.classes,
            "per_class": [asdict(report) for report in self.per_class],
            "confusion": self.confusion.tolist(),
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
            "split": self.split,
        }
        if self.nested:
            values["nested"] = self.nested.to_dict()
        return values


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
        result=row or make_row(evaluation, choose_positive(held_out.classes)),
        classes=held_out.classes,
        confusion=confusion_matrix(held_out.truth, predicted, labels=range(len(held_out.classes))),
        per_class=report_classes(held_out, predicted),
        mistakes=list_mistakes(held_out, evaluation.predictions),
        split=held_out.split,
        model=model,
    )
