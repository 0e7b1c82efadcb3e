from __future__ import annotations

import sys

import pytest

import featx
from tests.reports.html.conftest import Made


def test_a_table_of_several_cuts_shows_its_chart_in_a_notebook(four: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    table = featx.compare(four.data, base="tiny", cache=four.cache, clf=["logreg", "dummy"])
    shown = table._repr_html_()
    assert shown.count("<svg") == 1
    assert "layer4 logreg" in shown
    assert "var(--series-logreg)" in shown
    assert "--series-logreg: #" in shown
    assert "<svg" not in table[:1]._repr_html_()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("featx.reports.html.notebook.find_spec", lambda name: None)
    assert "<svg" not in table._repr_html_()
