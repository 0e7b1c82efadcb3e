"""Reports of classes and mistakes, against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from featx.evaluation.error_analysis import HeldOut, list_mistakes, report_classes
from featx.evaluation.result import UNREADABLE, HeldOutPredictions, spread_predictions

HELD_OUT = HeldOut([f"{n}.png" for n in range(6)], np.array([0, 0, 0, 1, 1, 2]), ["a", "b", "c", "never"])


@pytest.mark.filterwarnings("error")
def test_classes_are_reported_one_by_one_and_as_zero_where_there_is_nothing() -> None:
    reports = report_classes(HELD_OUT, np.array([0, 0, 1, 1, 1, 1]))
    assert [report.label for report in reports] == HELD_OUT.classes
    assert [report.images for report in reports] == [3, 2, 1, 0]
    assert (reports[0].precision, reports[0].recall, reports[0].f1) == (1.0, 0.666667, 0.8)
    assert (reports[1].precision, reports[1].recall, reports[1].f1) == (0.5, 1.0, 0.666667)
    assert all((report.precision, report.recall, report.f1) == (0, 0, 0) for report in reports[2:])


def test_the_most_confident_mistakes_come_first_and_equals_by_path() -> None:
    predictions = HeldOutPredictions(np.array([0, 1, 1, 1, 0, 0]), np.array([0.9, 0.5, 0.7, 0.9, 0.7, 0.6]))
    mistakes = list_mistakes(HELD_OUT, predictions, most=3)
    assert [(wrong.path, wrong.label, wrong.predicted, wrong.probability) for wrong in mistakes] == [
        ("2.png", "a", "b", 0.7),
        ("4.png", "b", "a", 0.7),
        ("5.png", "c", "a", 0.6),
    ]


def test_images_that_could_not_be_read_have_no_class_and_no_confidence() -> None:
    spread = spread_predictions(HeldOutPredictions(np.array([2, 0]), np.array([0.5, 0.75])), np.array([1, 3]), 4)
    assert spread.classes.tolist() == [UNREADABLE, 2, UNREADABLE, 0]
    assert spread.confidence.tolist() == [0, 0.5, 0, 0.75]
