"""The table of few labels in terminals of any width, and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from featx.evaluation.few_labels.figures import Curve, FewLabels, Point
from featx.reports.table_few_labels import few_labels_table, few_labels_to_csv

PARAMS = ({"C": 0.1},) * 3
POINTS = tuple(Point(shots, 17 * shots, (0.6, 0.61, 0.62 + shots / 100), PARAMS) for shots in (1, 2, 5, 10, 20))
CURVES = tuple(
    Curve("mobilenet_v2", layer, "avg", clf, POINTS, 0.9354)
    for layer in ("features.17", "features.18")
    for clf in ("logreg", "svm")
)
FEW = FewLabels(CURVES, 3, 42, 1020, ("(±) what it means, in words " * 6,))


def rows(text: str) -> list[str]:
    """The lines of the table itself."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("-")) - 1
    return lines[first : lines.index("", first)]


@pytest.mark.parametrize(("width", "cell"), [(None, "0.613 ± 0.038"), (120, "0.613 ± 0.038"), (80, "0.61±0.04")])
def test_points_are_written_as_a_terminal_allows(width: int | None, cell: str) -> None:
    text = few_labels_table(FEW, width=width)
    table = rows(text)
    assert table[0].split() == ["layer", "clf", "1", "2", "5", "10", "20", "all"]
    assert cell in table[2]
    assert table[2].endswith("0.935")
    assert len(table) == 2 + len(CURVES)
    if width:
        assert max(map(len, text.splitlines())) <= width
    assert "not shown" not in text


def test_a_narrow_terminal_gets_means_and_is_told_so() -> None:
    text = few_labels_table(FEW, width=58)
    assert max(map(len, text.splitlines())) <= 58
    assert "±" not in "".join(rows(text))
    assert "not shown: intervals (--wide shows them)" in text


def test_names_are_cut_before_the_interval_is_left_out() -> None:
    long = replace(FEW, curves=tuple(replace(curve, layer=f"{curve.layer}+features.13") for curve in CURVES))
    table = rows(few_labels_table(long, width=80))
    assert max(map(len, table)) <= 80
    assert "…" in table[2]
    assert "±" in table[2]


def test_bases_and_poolings_are_columns_where_there_are_several() -> None:
    other = replace(CURVES[0], base="resnet50", pooling="max")
    assert rows(few_labels_table(replace(FEW, curves=(*CURVES, other))))[0].split()[:4] == [
        "base",
        "layer",
        "pooling",
        "clf",
    ]


def test_markdown_keeps_bars_in_names_apart_from_columns() -> None:
    odd = replace(FEW, curves=(replace(CURVES[0], layer="a|b"),))
    text = few_labels_table(odd, "github")
    assert "a\\|b" in text
    assert "0.613 ± 0.038" in text


def test_csv_has_a_line_a_point() -> None:
    lines = list(csv.DictReader(io.StringIO(few_labels_to_csv(FEW))))
    assert len(lines) == 20
    assert lines[1]["shots"] == "2"
    assert (lines[1]["labels"], lines[1]["draws"], lines[1]["clf"]) == ("34", "3", "logreg")
    assert float(lines[1]["low"]) < float(lines[1]["mean"]) < float(lines[1]["high"])
