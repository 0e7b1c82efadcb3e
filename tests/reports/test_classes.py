"""Classes, confusions and mistakes as text that stays readable with many classes."""

from __future__ import annotations

import numpy as np

from featx.evaluation.error_analysis import ClassReport, Mistake
from featx.reports.classes import class_table, confusion_table, mistake_lines, prediction_table


def test_of_many_classes_only_the_weakest_are_shown() -> None:
    reports = [ClassReport(f"class{number}", 0.5, 0.5, number / 100, 4) for number in range(30)]
    text = class_table(reports)
    assert "class24" in text
    assert "class25" not in text
    assert "(the 25 weakest of 30 classes; --json holds all)" in text
    assert "weakest" not in class_table(reports[:25])


def test_a_large_confusion_matrix_becomes_a_list_of_pairs() -> None:
    counts = np.diag(np.full(20, 5))
    names = [f"c{number}" for number in range(20)]
    assert confusion_table(counts, names) == "no confusions"
    counts[0, 1:17] = 1
    counts[3, 4] = 7
    lines = confusion_table(counts, names).splitlines()
    assert lines[2].split() == ["c3", "c4", "7"]
    assert lines[-1] == "(and 2 rarer confusions; --json holds the matrix)"
    counts[0, 16] = 0
    assert confusion_table(counts, names).endswith("(and 1 rarer confusion; --json holds the matrix)")


def test_a_small_confusion_matrix_is_shown_whole() -> None:
    lines = confusion_table(np.array([[3, 1], [0, 4]]), ["a class of long name", "b"]).splitlines()
    assert lines[0].split() == ["true", "\\", "predicted", "a", "class", "of", "lo…", "b"]
    assert lines[-1].split() == ["b", "0", "4"]


def test_mistakes_are_named_one_a_line() -> None:
    assert mistake_lines([]) == "No mistakes on the held-out images."
    lines = mistake_lines([Mistake("a.png", "cat", "dog", 0.98765)]).splitlines()
    assert lines == ["Most confident mistakes:", "  a.png: cat, called dog (0.988)"]


def test_columns_of_which_no_image_has_anything_are_left_out() -> None:
    plain = {"path": "a.png", "label": "cat", "probability": 0.9, "strangeness": None}
    failed = {"path": "b.png", "label": None, "probability": None, "strangeness": None}
    assert prediction_table([plain, failed]).splitlines()[0].split() == ["path", "label", "probability"]
    strange = {**plain, "strangeness": 0.25}
    lines = prediction_table([plain, strange]).splitlines()
    assert lines[0].split() == ["path", "label", "probability", "strangeness"]
    assert [line.split()[3:] for line in lines[2:]] == [[], ["0.250"]]
    with_set = prediction_table([{**plain, "classes": ["cat", "dog"]}]).splitlines()
    assert with_set[0].split() == ["path", "label", "probability", "set"]
    assert with_set[2].split() == ["a.png", "cat", "0.900", "cat", "|", "dog"]
