from __future__ import annotations

import csv
import io

import pytest

from featx.reports.csv_text import FORMULA, defuse, write_csv


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''@a", "\uff1d1"])
def test_text_that_a_spreadsheet_computes_gets_an_apostrophe(text: str) -> None:
    assert defuse(text) == f"'{text}"
    assert FORMULA.match(text)


@pytest.mark.parametrize("text", ["ants", "-1", "+1", "+", "-", "-.5", "1e-3", "'tis", "a=b", " =1", "", "p(=a)"])
def test_other_text_stays(text: str) -> None:
    assert defuse(text) == text


def test_numbers_stay_numbers_and_rows_stay_rows() -> None:
    names = ["a\nb", "a\rb", "a\r\nb", 'a"b', "a,b", "\r"]
    text = write_csv([["name", "number", "none"], *([name, -0.5, None] for name in names)])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["name", "number", "none"], *([defuse(name), "-0.5", ""] for name in names)]
