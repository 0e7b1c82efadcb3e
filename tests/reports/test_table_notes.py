"""What stands below a table: each note once, with its rows."""

from __future__ import annotations

from dataclasses import replace

from featx.reports.table_notes import gather_notes, is_tied, write_notes
from tests.reports.test_table import ROW, ROWS


def test_rows_are_tied_by_the_adjusted_p_value() -> None:
    assert is_tied(replace(ROW, p_value=0.01, p_adjusted=0.06))
    assert not is_tied(replace(ROW, p_value=0.04, p_adjusted=0.04))
    assert not is_tied(replace(ROW, p_adjusted=None))


def test_the_legend_says_how_many_tests_the_p_values_are_adjusted_for() -> None:
    assert "(p) adjusted for 2 tests by Holm's method" in write_notes(ROWS, ROWS[1])
    assert "Holm" not in write_notes(ROWS[:2], ROWS[1])


def test_a_note_is_written_once_with_its_rows_and_those_of_the_data_come_last() -> None:
    rows = [replace(row, notes=("C is odd",), data_notes=("few images",)) for row in ROWS]
    assert gather_notes(rows) == ["C is odd: every row", "few images"]
    rows.append(replace(ROW, layer="head", degenerate="constant", data_notes=("few images",)))
    assert gather_notes(rows) == [
        "C is odd: features.13 logreg, features.13 svm, features.13 finetuned",
        "the features of head (avg) are constant: they tell no images apart",
        "few images",
    ]


def test_json_lists_the_notes_of_a_row_and_of_its_data() -> None:
    row = replace(ROW, notes=("C is odd",), data_notes=("few images",), degenerate="constant")
    values = row.to_dict()
    assert values["notes"] == [
        "C is odd",
        "the features of features.13 (avg) are constant: they tell no images apart",
        "few images",
    ]
    assert "data_notes" not in values
    assert ROW.to_dict()["notes"] == []


def test_rows_of_several_bases_are_named_with_their_base() -> None:
    rows = [replace(ROW, notes=("C is odd",)), ROW, replace(ROW, base="hog", layer="hog", notes=("C is odd",))]
    assert gather_notes(rows) == ["C is odd: mobilenet_v2 features.13 logreg, hog hog logreg"]


def test_notes_are_wrapped_where_the_terminal_is_narrow() -> None:
    rows = [replace(row, notes=("word " * 30,), data_notes=("few images",)) for row in ROWS]
    text = write_notes(rows, rows[1], width=60)
    wrapped = [line for line in text.splitlines() if "word" in line]
    assert len(wrapped) > 1
    assert max(map(len, wrapped)) <= 60
    assert len([line for line in write_notes(rows, rows[1]).splitlines() if "word" in line]) == 1


def test_weights_are_said_once_for_each_way_and_names_cannot_write_on_the_terminal() -> None:
    rows = [replace(ROW, class_weight="a\x1b[2J=2"), replace(ROW, weighted_images=True), ROW]
    assert gather_notes([*rows, rows[0], replace(ROW, clf="dummy", weighted_images=True)]) == [
        r"training and the choice of C are weighted (class weights a\x1b[2J=2); the figures are not",
        "training and the choice of C are weighted (a weight for each image); the figures are not",
    ]
    assert gather_notes([replace(ROW, clf="dummy", weighted_images=True)])


def test_a_note_of_the_dummy_is_not_counted_for_a_row_that_learns() -> None:
    rows = [replace(ROW, clf=clf, notes=("no weights",)) for clf in ("knn", "dummy")]
    assert gather_notes([*rows, ROW]) == ["no weights: features.13 knn, features.13 dummy"]
