"""The chart of a table for a notebook, where the colours of the page are not there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from featx.evaluation.table_row import TableRow
from featx.reports.html.charts_of_rows import chart_depth, find_dummy
from featx.reports.html.figure import PAPER, to_inline_svg

LEAST_CUTS = 2
"""With fewer there is no depth to draw."""


def draw_for_notebook(rows: Sequence[TableRow]) -> str:
    """Draw accuracy against depth as HTML for a notebook; nothing where there is one cut, or no matplotlib."""
    cuts = {(row.base, row.layer) for row in rows if row.clf != "dummy"}
    if len(cuts) < LEAST_CUTS or find_spec("matplotlib") is None:
        return ""
    chart = chart_depth(rows, find_dummy(rows))
    # Several tables of one notebook must not share the names of their marks.
    digest = hashlib.sha256(repr([row.to_dict() for row in rows]).encode()).hexdigest()[:8]
    svg = to_inline_svg(replace(chart, name=f"depth-{digest}"))
    colours = {"ink": PAPER.ink, "muted": PAPER.muted, "grid": PAPER.grid, "accent": PAPER.accent, "paper": PAPER.paper}
    colours |= {f"series-{name}": colour for name, colour in PAPER.series.items()}
    variables = "".join(f"--{name}: {colour}; " for name, colour in colours.items())
    return f'<div style="{variables}--font: sans-serif; background: {PAPER.paper}; max-width: 640px">{svg}</div>'
