from __future__ import annotations

from dataclasses import replace

from featx.reports.closing import closing_lines, say_extraction
from tests.reports.test_table import ROW

BEST = replace(ROW, clf="svm", cv_accuracy=0.95, p_adjusted=1.0)
DEEPEST = replace(ROW, layer="features.18", test_accuracy=0.8, p_adjusted=0.001)
DEPTHS = {("mobilenet_v2", "features.13"): 13, ("mobilenet_v2", "features.18"): 18, ("hog", "features.20"): 20}


def test_they_compare_the_winner_with_the_deepest_layer_in_whatever_order_the_rows_stand() -> None:
    for rows in ([ROW, BEST, DEEPEST], [DEEPEST, BEST, ROW]):
        first, second = closing_lines(rows, DEPTHS)
        assert first == "Best by cross-validation: features.13 with svm, test accuracy 0.912 (0.880 to 0.940)."
        assert second == (
            "The deepest of these layers, features.18 with logreg, scores 5.0 points lower in cross-validation and "
            "11.2 points lower on the held-out part; that is more than chance (p = 0.001)."
        )


def test_no_difference_is_said_as_such() -> None:
    equal = replace(DEEPEST, cv_accuracy=BEST.cv_accuracy - 0.0001, test_accuracy=BEST.test_accuracy)
    assert (
        "scores the same in cross-validation and the same on the held-out part"
        in closing_lines([BEST, equal], DEPTHS)[1]
    )


def test_a_winner_is_held_against_its_own_base_and_single_layers_only() -> None:
    other = replace(ROW, base="hog", layer="features.20")
    mix = replace(ROW, layer="features.13+features.18")
    lines = closing_lines([BEST, mix, other], DEPTHS)
    assert lines == [
        "Best by cross-validation: features.13 of mobilenet_v2 with svm, test accuracy 0.912 (0.880 to 0.940)."
    ]


def test_poolings_are_named_where_there_are_several() -> None:
    lines = closing_lines([BEST, replace(DEEPEST, pooling="max")], DEPTHS)
    assert "features.13 (avg) with svm" in lines[0]
    assert "features.18 (max) with logreg" in lines[1]


def test_a_single_row_has_won_nothing() -> None:
    (line,) = closing_lines([BEST], DEPTHS)
    assert line == "The only configuration: features.13 with svm, test accuracy 0.912 (0.880 to 0.940)."


def test_a_second_run_costs_what_was_not_extracted() -> None:
    assert say_extraction(0, 0.0) == "Nothing was extracted: every feature came from the cache."
    assert "the 3.0 s of extraction are not needed again" in say_extraction(5, 3.0)
