"""Tables that fit the terminal, and sentences in the singular and the plural."""

from __future__ import annotations

from dataclasses import replace

import pytest

from featx.evaluation.table_row import TableRow
from featx.reports.table import closing_lines, cut_in_middle, further_figures, sentence, sort_results, table, to_csv

ROW = TableRow(
    base="mobilenet_v2",
    layer="features.13",
    pooling="avg",
    clf="logreg",
    dim=96,
    n_train=1020,
    n_test=340,
    cv_accuracy=0.9,
    test_accuracy=0.912345,
    ci_low=0.88,
    ci_high=0.94,
    macro_f1=0.9,
    fit_seconds=12.34,
    params={"C": 0.1},
    balanced_accuracy=0.91,
    top5_accuracy=0.99,
    calibration_error=0.02,
    p_value=0.1,
    p_adjusted=0.2,
    roc_auc=0.98,
    average_precision=0.97,
    matthews=0.8,
    megabytes=12.5,
    ms_per_image=3.2,
)
ROWS = [ROW, replace(ROW, clf="svm", cv_accuracy=0.95, p_adjusted=1.0), replace(ROW, clf="finetuned", p_adjusted=0.01)]
ESSENTIAL = ["layer", "clf", "cv acc", "test acc", "95 % CI", "p"]


def headings(text: str) -> str:
    return text.splitlines()[0]


def longest_line(text: str, rows: int) -> int:
    return max(map(len, text.splitlines()[: rows + 2]))


@pytest.mark.parametrize("width", [80, 100, 120, 250])
def test_a_table_is_no_wider_than_the_terminal_and_keeps_what_is_essential(width: int) -> None:
    text = table(ROWS, width=width)
    assert longest_line(text, 3) <= width
    assert all(name in headings(text) for name in ESSENTIAL)


@pytest.mark.parametrize("width", [60, 80])
def test_bases_and_poolings_are_essential_where_there_are_several(width: int) -> None:
    long = replace(ROW, base="efficientnet_v2_s", layer="features.13+features.18", pooling="pyramid", clf="finetuned")
    text = table([*ROWS, long], width=width)
    assert all(name in headings(text) for name in ("base", "pooling", *ESSENTIAL))
    assert "features.13+features.18" not in text
    assert "effi…" in text
    if width == 80:
        assert longest_line(text, 4) <= 80


def test_columns_that_are_left_out_are_named_in_one_line() -> None:
    text = table(ROWS, width=80)
    figures = "balanced, macro F1, top 5, ECE, ROC AUC, AP, MCC"
    left_out = f"not shown: {figures}, MB, ms/image, seconds (--wide shows all columns)"
    assert left_out in text.splitlines()
    shown = table(ROWS)
    assert "not shown" not in shown
    assert headings(shown).split()[-2:] == ["ms/image", "seconds"]


def test_markdown_and_csv_keep_all_columns() -> None:
    assert "ms/image" in headings(table(ROWS, "github"))
    assert to_csv(ROWS).splitlines()[0].count(",") == 27


def test_the_winner_and_its_equals_are_marked() -> None:
    lines = table(ROWS, width=80).splitlines()
    assert [line[0] for line in lines[2:5]] == ["=", "*", " "]
    assert any("cannot be told apart" in line for line in lines)


def test_rows_of_earlier_runs_are_counted() -> None:
    assert "from earlier" not in table(ROWS)
    assert "1 of 3 rows is from an earlier run" in table([replace(ROW, recalled=True), *ROWS[1:]])
    assert "3 of 3 rows are from earlier runs" in table([replace(row, recalled=True) for row in ROWS])


def test_json_fields_keep_their_names_and_order() -> None:
    names = list(ROW.to_dict())
    assert names[:4] == ["base", "layer", "pooling", "clf"]
    assert names[-7:] == ["p_value", "megabytes", "ms_per_image", "degenerate", "views", "test_views", "recalled"]


def test_sorting_puts_rows_without_a_value_last() -> None:
    rows = [ROW, replace(ROW, megabytes=None), replace(ROW, megabytes=1.0)]
    assert [row.megabytes for row in sort_results(rows, "megabytes")] == [1.0, 12.5, None]
    assert [row.cv_accuracy for row in sort_results(ROWS, "cv_accuracy")] == [0.95, 0.9, 0.9]


def test_a_sentence_says_views_and_earlier_runs_only_where_there_are_any() -> None:
    assert sentence(ROW).startswith("logreg on mobilenet_v2 features.13 (avg, 96 numbers): test accuracy 0.912 ")
    assert sentence(ROW).endswith("on 1020 images, C = 0.1, 12.3 s")
    several = sentence(replace(ROW, views=4, test_views=2, recalled=True))
    assert "96 numbers, 4 views, 2 in testing" in several
    assert several.endswith("12.3 s in an earlier run")


def test_the_closing_lines_compare_the_winner_with_the_deepest_layer() -> None:
    deepest = replace(ROW, layer="features.18", test_accuracy=0.8, p_adjusted=0.001)
    lines = closing_lines([*ROWS[:2], deepest], extracted=0, seconds=0)
    assert lines[1].startswith(
        "The deepest of these layers, features.18 with logreg, scores 5.0 points lower in cross-validation"
    )
    assert lines[1].endswith("that is more than chance (p = 0.001).")
    assert lines[-1] == "Nothing was extracted: every feature came from the cache."


def test_long_names_keep_both_ends() -> None:
    assert cut_in_middle("features.13+features.18", 11) == "featu…es.18"
    assert cut_in_middle("layer3", 8) == "layer3"


def test_rows_can_be_sorted_by_the_figure_that_was_asked_for_whichever_way_is_better() -> None:
    losses = [replace(ROW, select="log_loss", cv_figure=loss) for loss in (0.5, 0.2, 0.9)]
    assert [row.cv_figure for row in sort_results(losses, "cv_figure")] == [0.2, 0.5, 0.9]
    areas = [replace(ROW, select="roc_auc", cv_figure=area) for area in (0.5, 0.2, 0.9)]
    assert [row.cv_figure for row in sort_results(areas, "cv_figure")] == [0.9, 0.5, 0.2]


@pytest.mark.parametrize("width", [80, 100, 160, None])
def test_the_figure_to_choose_by_has_a_column_of_its_own_and_marks_the_best(width: int | None) -> None:
    rows = [replace(row, select="log_loss", cv_figure=loss) for row, loss in zip(ROWS, (0.3, 0.4, 0.1), strict=True)]
    text = table(rows, width=width)
    assert "cv log-loss" in headings(text)
    assert "(*) best by cross-validation (log-loss)" in text
    assert text.splitlines()[2].startswith("*"), "the fine-tuned row does not win"
    if width:
        assert longest_line(text, 3) <= width


def test_figures_of_two_classes_are_shown_with_all_columns_and_say_of_which_class() -> None:
    rows = [replace(row, sensitivity=0.9, specificity=0.7, positive="ill") for row in ROWS]
    assert headings(table(rows)).split()[-8:-3] == ["ROC", "AUC", "AP", "MCC", "sens.", "spec."][1:]
    assert "sensitivity, specificity of 'ill' (--positive)" in table(rows)
    assert "'ill'" not in table(rows, width=80)
    assert further_figures(rows[0]) == (
        "ROC AUC 0.980, average precision 0.970, Matthews correlation 0.800, sensitivity 0.900, specificity 0.700 "
        "(positive class: 'ill')"
    )
    assert further_figures(ROW).endswith("Matthews correlation 0.800 (each class against the rest, averaged)")
