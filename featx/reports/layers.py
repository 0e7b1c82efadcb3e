"""The layer table of a base as text that a person can read."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from featx.bases.layer_table import LayerRow
from featx.log import escape_controls
from featx.reports.shown_rows import ShownRows

HEADINGS = ("", "layer", "alias", "shape", "stride", "field", "parameters", "10^6 multiply-adds", "time")
"""Columns before those of the poolings."""

UNIT = "bytes"
"""Unit of the columns of the poolings: it stands above each name."""

LEFT_ALIGNED = ("layer", "alias")

ESTIMATED = "~"
"""Mark of a time that was estimated."""


class LayerTable(ShownRows[LayerRow]):
    """The layers of a base in its order, as a list that shows itself as a table."""

    def text(self, style: str) -> str:
        """Write the table in a format of tabulate, and the totals below it."""
        return format_layer_table(self.rows, style)


def format_layer_table(rows: Sequence[LayerRow], style: str = "simple") -> str:
    """Write the layer table, and below it the totals and what was estimated.

    Parameters
    ----------
    rows : sequence of LayerRow
    style : str
        A format of tabulate.
    """
    poolings: list[str] = []
    for row in rows:
        poolings += [name for name in row.bytes if name not in poolings]

    headings = [*HEADINGS, *(f"{UNIT}\n{name}" for name in poolings)]
    alignment = ["left" if name in LEFT_ALIGNED else "right" for name in headings]
    lines = []
    time_share = 0.0
    for row in rows:
        time_share += row.time_share
        lines.append([*format_layer(row, time_share), *format_storage(row, poolings)])

    table = tabulate(lines, headings, tablefmt=style, colalign=alignment, disable_numparse=True)
    return f"{table}\n\n{format_totals(rows)}"


def format_layer(row: LayerRow, time_share: float) -> list[str]:
    """Write what a layer is and costs.

    Parameters
    ----------
    row : LayerRow
    time_share : float
        Share of the time of the forward pass up to and with this layer.
    """
    mark = "" if row.time_measured else ESTIMATED
    # Shares are rounded one by one, so that their sum may exceed one by a hair.
    time = f"{mark}{min(1.0, time_share):.0%}"
    return [
        str(row.index),
        escape_controls(row.name),
        row.alias,
        " x ".join(map(str, row.shape)),
        str(row.stride or ""),
        str(row.receptive_field),
        f"{row.parameters:,}",
        f"{row.total_multiply_adds / 1e6:,.1f}",
        time,
    ]


def format_storage(row: LayerRow, poolings: Sequence[str]) -> list[str]:
    """Write the bytes that an image takes in the cache, by pooling; nothing where a pooling does not fit."""
    cells = []
    for pooling in poolings:
        size = row.bytes.get(pooling)
        cells.append("" if size is None else f"{size:,}")
    return cells


def format_totals(rows: Sequence[LayerRow]) -> str:
    """Write what the whole base costs, and what the mark of estimated times means."""
    last = rows[-1]
    multiply_adds = last.total_multiply_adds / 1e9
    text = f"{last.total_parameters:,} parameters, {multiply_adds:.2f} x 10^9 multiply-adds an image"
    if not all(row.time_measured for row in rows):
        text += f"\n({ESTIMATED}) estimated from multiply-adds: measuring would take too long"
    return text
