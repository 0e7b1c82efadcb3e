from __future__ import annotations

from dataclasses import replace

from featx.bases.layer_table import LayerRow
from featx.reports.layers import LayerTable, format_layer_table

STEM = LayerRow(
    index=0,
    name="stem",
    alias="",
    shape=(8, 16, 16),
    stride=2,
    layout="map",
    receptive_field=3,
    parameters=1216,
    total_parameters=1216,
    multiply_adds=2_000_000,
    total_multiply_adds=2_000_000,
    time_share=0.25,
    time_measured=True,
    bytes={"avg": 32, "flat": 8192},
)
HEAD = replace(
    STEM,
    index=1,
    name="fc",
    alias="layer4",
    shape=(10,),
    stride=None,
    total_parameters=51216,
    total_multiply_adds=3_000_000_000,
    time_share=0.76,
    bytes={"flat": 40},
)


def test_costs_add_up_and_a_pooling_that_does_not_fit_leaves_its_cell_empty() -> None:
    headings, names, _, stem, head, *_ = format_layer_table([STEM, HEAD]).splitlines()
    assert headings.split()[-4:] == ["multiply-adds", "time", "bytes", "bytes"]
    assert names.split() == ["avg", "flat"]
    assert stem.split()[-4:] == ["2.0", "25%", "32", "8,192"]
    assert head.split()[-3:] == ["3,000.0", "100%", "40"]


def test_totals_stand_below_and_estimates_are_marked_only_where_there_are_any() -> None:
    text = format_layer_table([STEM, HEAD])
    assert text.endswith("\n\n51,216 parameters, 3.00 x 10^9 multiply-adds an image")
    estimated = format_layer_table([STEM, replace(HEAD, time_measured=False)])
    assert "~100%" in estimated
    assert estimated.endswith("\n(~) estimated from multiply-adds: measuring would take too long")


def test_names_of_layers_are_text_in_a_notebook_not_html() -> None:
    page = LayerTable([replace(STEM, name="<b>stem</b>")])._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;stem&lt;/b&gt;" in page
