"""The table of few labels: a row for each layer and classifier, a column for each number of labelled images."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import wrap

from tabulate import tabulate

from featx.evaluation.few_labels.figures import Curve, FewLabels, Point
from featx.log import escape_controls
from featx.reports.csv_text import write_csv
from featx.reports.table import (
    TableColumns,
    drop_empty,
    list_sides,
    measure_line,
    shorten_names,
    write_number,
    write_plain,
)

CSV_COLUMNS = ("base", "layer", "pooling", "clf", "shots", "labels", "draws", "mean", "low", "high")
"""Columns of the CSV file, which has one line a point."""

WHOLE = "all"
"""Heading of the column with the whole training part."""

SIGN = "±"
"""What stands before half of an interval."""

Cell = Callable[[Point], str]
"""Writes a point."""


def write_in_full(point: Point) -> str:
    """Write mean and half of the interval with three digits: 0.812 ± 0.021."""
    return f"{point.mean:.3f}" if point.half is None else f"{point.mean:.3f} {SIGN} {point.half:.3f}"


def write_briefly(point: Point) -> str:
    """Write them with two digits: 0.81±0.02."""
    return f"{point.mean:.2f}" if point.half is None else f"{point.mean:.2f}{SIGN}{point.half:.2f}"


def write_mean(point: Point) -> str:
    """Write the mean alone."""
    return f"{point.mean:.2f}"


WAYS: tuple[Cell, ...] = (write_in_full, write_briefly, write_mean)
"""Ways to write a point, the longest first."""


def few_labels_table(few_labels: FewLabels, style: str = "simple", width: int | None = None) -> str:
    """Write a table of few labels with its title, and below it what is to be known of it.

    Parameters
    ----------
    few_labels : FewLabels
    style : str
        A format of tabulate: "simple", or "github" for Markdown.
    width : int, optional
        Characters in a line: points are written as briefly as they must be to fit, and names are cut. None: in full.
    """
    title = write_title(few_labels)
    lines = wrap(title, width or len(title))
    cells = few_labels_cells(few_labels, style, width)
    notes = write_notes(few_labels, width)
    if few_labels.draws > 1 and SIGN not in cells:
        notes.append("not shown: intervals (--wide shows them)")
    return "\n".join([*lines, "", cells, "", *notes])


def few_labels_cells(few_labels: FewLabels, style: str, width: int | None = None) -> str:
    """Write the table alone, as `few_labels_table` takes it."""
    columns = fit_columns(few_labels, width)
    if style == "simple":
        return write_plain(columns)
    if style == "github":
        columns = {name: [cell.replace("|", "\\|") for cell in cells] for name, cells in columns.items()}
    return str(tabulate(columns, "keys", tablefmt=style, colalign=list_sides(columns), disable_numparse=True))


def write_title(few_labels: FewLabels) -> str:
    """Say what the cells are."""
    often = "1 draw" if few_labels.draws == 1 else f"mean of {few_labels.draws} draws"
    return f"Few labels: test accuracy by labelled images of each class, {often}"


def write_notes(few_labels: FewLabels, width: int | None = None) -> list[str]:
    """Write what is to be known of the table, in lines."""
    lines = []
    for note in (*few_labels.notes, f"({WHOLE}) the whole training part, {few_labels.train} images"):
        text = escape_controls(note)
        lines += wrap(text, width or len(text), subsequent_indent="  ")
    return lines


def fit_columns(few_labels: FewLabels, width: int | None) -> TableColumns:
    """Write the columns as a width allows: points in full, else briefly with names cut, else without interval."""
    columns = write_columns(few_labels, write_in_full)
    for write in WAYS[1:]:
        if width is None or measure_line(columns) <= width:
            break
        columns = write_columns(few_labels, write)
        shorten_names(columns, width)
    return columns


def write_columns(few_labels: FewLabels, write: Cell) -> TableColumns:
    """Write all columns, points in one way."""
    columns: TableColumns = {}
    for curve in few_labels.curves:
        for name, cell in write_cells(curve, write).items():
            columns.setdefault(name, []).append(cell)
    columns = drop_empty(columns)
    if len(set(columns["pooling"])) == 1:
        del columns["pooling"]
    return columns


def write_cells(curve: Curve, write: Cell) -> dict[str, str]:
    """Write one row: heading to text."""
    return {
        "base": escape_controls(curve.base),
        "layer": escape_controls(curve.layer),
        "pooling": escape_controls(curve.pooling),
        "clf": curve.clf,
        **{str(point.shots): write(point) for point in curve.points},
        WHOLE: write_number(curve.whole),
    }


def few_labels_to_csv(few_labels: FewLabels) -> str:
    """Write the points as CSV, one a line; the accuracies of single draws are in JSON only."""
    lines = []
    for values in few_labels.to_dicts():
        values["draws"] = few_labels.draws
        lines.append([values[name] for name in CSV_COLUMNS])
    return write_csv([CSV_COLUMNS, *lines])
