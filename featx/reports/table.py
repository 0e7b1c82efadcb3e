"""Results as a table that fits the terminal, in sentences, and as CSV."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TypeVar

from tabulate import tabulate

from featx.errors import unknown
from featx.evaluation.nested.figures import NestedReport
from featx.evaluation.result import TUNED, best
from featx.evaluation.table_row import TableRow
from featx.log import escape_controls
from featx.reports.csv_text import write_csv
from featx.reports.table_nested import name_accuracy, name_part, write_nested
from featx.reports.table_notes import CV_HEADINGS, is_tied, list_degenerate, mark_row, word_weights, write_notes
from featx.timing import format_seconds

COLUMNS = (
    *("base", "layer", "pooling", "clf", "dim", "n_train", "n_test", "cv_accuracy", "test_accuracy"),
    *("ci_low", "ci_high", "balanced_accuracy", "macro_f1", "top5_accuracy", "calibration_error", "p_value"),
    *("megabytes", "ms_per_image", "fit_seconds", "views", "test_views"),
    *("p_adjusted", "roc_auc", "average_precision", "matthews", "sensitivity", "specificity", "cv_figure"),
)
"""Fields of a row that CSV files hold, in this order; any of them can be sorted by."""

NESTED_COLUMNS = ("folds", "repeats", "spread")
"""Details of nested cross-validation that CSV files hold beyond these, with `nested_` before their names."""

RISING = {
    "base",
    "layer",
    "pooling",
    "clf",
    "dim",
    "calibration_error",
    "megabytes",
    "ms_per_image",
    "fit_seconds",
    "views",
}
"""Columns that are sorted with the least first; the others are sorted with the greatest first."""

LEFT = ("", "base", "layer", "pooling", "clf")
"""Columns that are aligned to the left: words."""

ESSENTIAL = ("", "base", "layer", "clf", *CV_HEADINGS.values(), "test acc", "nested acc", "spread", "95 % CI", "p")
"""Columns that a table always shows, the base only if there are several, one figure only if it was asked for."""

OPTIONAL = (*("pooling", "views", "length", "seconds", "MB", "balanced", "macro F1", "ECE", "top 5", "ms/image"),)
"""Columns that are shown as far as the terminal is wide enough, the first ones first."""

GAP = 2
"""Spaces between the columns of a plain table."""

SHORTEST_NAME = 8
"""Characters that are left of a long name at least."""

NOT_A_TERMINAL = (100, 24)
"""Columns and lines where the output is a file or a pipe."""

TableColumns = dict[str, list[str]]
"""Heading to cells, one a row."""

AnyRow = TypeVar("AnyRow", bound=TableRow)


def terminal_width() -> int:
    """Columns of the terminal, or those that output to a file gets."""
    return shutil.get_terminal_size(NOT_A_TERMINAL).columns


def check_column(column: str | None) -> None:
    """Raise UnknownName if rows cannot be sorted by a column: known before anything is fitted."""
    if column is not None and column not in COLUMNS:
        raise unknown("column of `--sort`", column, COLUMNS)


def sort_results(rows: Sequence[AnyRow], column: str) -> list[AnyRow]:
    """Sort by a column of `COLUMNS`, best or cheapest first; rows without a value come last."""
    with_value: list[AnyRow] = []
    without_value: list[AnyRow] = []
    for row in rows:
        if getattr(row, column) is None:
            without_value.append(row)
        else:
            with_value.append(row)
    if column == "cv_figure":
        # Of the log-loss, the least is best.
        column = "merit"
    with_value.sort(key=lambda row: getattr(row, column), reverse=column not in RISING)
    return with_value + without_value


def write_number(value: float | None, digits: int = 3) -> str:
    """Write a number with three digits after the point; nothing where there is none."""
    return "" if value is None else f"{value:.{digits}f}"


def write_views(row: TableRow) -> str:
    """Write how many views were used; nothing where each image was taken as it is."""
    return "" if row.views == 1 else f"{row.views} ({row.test_views} test)"


def write_cells(row: TableRow, winner: TableRow) -> dict[str, str]:
    """Write one row of the table: heading to text."""
    asked = {}
    if row.select not in (None, "accuracy"):
        asked = {CV_HEADINGS[row.select]: write_number(row.cv_figure)}
    spread = {} if row.nested is None else {"spread": write_number(row.nested.spread)}
    return {
        "": mark_row(row, winner),
        "base": escape_controls(row.base),
        "layer": escape_controls(row.layer),
        "pooling": escape_controls(row.pooling),
        "clf": row.clf,
        "views": write_views(row),
        "length": str(row.dim),
        "cv acc": write_number(row.cv_accuracy),
        **asked,
        "test acc" if row.nested is None else "nested acc": write_number(row.test_accuracy),
        **spread,
        "95 % CI": f"{row.ci_low:.3f}-{row.ci_high:.3f}",
        "p": write_number(row.p_adjusted),
        "balanced": write_number(row.balanced_accuracy),
        "macro F1": write_number(row.macro_f1),
        "top 5": write_number(row.top5_accuracy),
        "ECE": write_number(row.calibration_error),
        "ROC AUC": write_number(row.roc_auc),
        "AP": write_number(row.average_precision),
        "MCC": write_number(row.matthews),
        "sens.": write_number(row.sensitivity),
        "spec.": write_number(row.specificity),
        "MB": write_number(row.megabytes, 2),
        "ms/image": write_number(row.ms_per_image, 2),
        "seconds": write_number(row.fit_seconds, 1),
    }


def table(
    rows: Sequence[TableRow],
    style: str = "simple",
    width: int | None = None,
    nested: NestedReport | None = None,
) -> str:
    """Write rows as a table, and below it what its marks mean.

    Parameters
    ----------
    rows : sequence of TableRow
    style : str
        A format of tabulate: "simple", or "github" for Markdown.
    width : int, optional
        Characters in a line, such as `terminal_width()`: as many columns are shown as fit. None: all columns.
    nested : NestedReport, optional
        What nested cross-validation, where it made the rows, says of all of them.
    """
    winner = best(rows)
    columns = drop_empty(write_columns(rows, winner))
    shown = columns
    if width is not None:
        shown = fit_columns(columns, width)
        shorten_names(shown, width)
    # Markdown is read by programs, which do not mind the padding.
    if style == "simple":
        text = write_plain(shown)
    else:
        if style == "github":
            shown = {name: [cell.replace("|", "\\|") for cell in cells] for name, cells in shown.items()}
        text = tabulate(shown, "keys", tablefmt=style, colalign=list_sides(shown), disable_numparse=True)
    choices = "" if nested is None else write_nested(nested, width)
    return text + choices + write_notes(rows, winner, list(columns), list(shown), width)


def write_columns(rows: Sequence[TableRow], winner: TableRow) -> TableColumns:
    """Write all columns of a table."""
    columns: TableColumns = {}
    for row in rows:
        for name, cell in write_cells(row, winner).items():
            columns.setdefault(name, []).append(cell)
    return columns


def drop_empty(columns: TableColumns) -> TableColumns:
    """Leave out the columns that say nothing: figures that no row has, and the base where there is only one."""
    kept: TableColumns = {}
    for name, cells in columns.items():
        is_told = name in LEFT or any(cells)
        if is_told and (name != "base" or len(set(cells)) > 1):
            kept[name] = cells
    return kept


def fit_columns(columns: TableColumns, width: int) -> TableColumns:
    """Choose the columns for a width: the essential ones, and further ones as long as they fit."""
    essential = set(ESSENTIAL)
    # Rows that differ in nothing else must not look alike.
    for name in ("pooling", "views"):
        if len(set(columns.get(name, ()))) > 1:
            essential.add(name)
    chosen = essential & set(columns)
    for name in OPTIONAL:
        with_it = {other: cells for other, cells in columns.items() if other in chosen or other == name}
        if measure_line(with_it) <= width:
            chosen = set(with_it)
    return {name: list(cells) for name, cells in columns.items() if name in chosen}


def measure_column(name: str, cells: Sequence[str]) -> int:
    """Characters of a column's widest cell, its heading included."""
    return max(map(len, (name, *cells)))


def measure_line(columns: TableColumns) -> int:
    """Characters of a line with these columns."""
    widths = [measure_column(name, cells) for name, cells in columns.items()]
    return sum(widths) + GAP * (len(widths) - 1)


def shorten_names(columns: TableColumns, width: int) -> None:
    """Cut long names of bases and layers in the middle, in place, where the line is wider than the terminal."""
    # The base first: there are few of them, and they still differ when they are short.
    for name in ("base", "layer"):
        surplus = measure_line(columns) - width
        if name in columns and surplus > 0:
            longest = max(SHORTEST_NAME, measure_column(name, columns[name]) - surplus)
            columns[name] = [cut_in_middle(cell, longest) for cell in columns[name]]


def list_sides(columns: TableColumns) -> list[str]:
    """Say for each column where its cells stand: words to the left, numbers to the right."""
    return ["left" if name in LEFT else "right" for name in columns]


def write_plain(columns: TableColumns) -> str:
    """Write a plain table; tabulate would pad every heading by two spaces, for which a terminal has no room."""
    padded = []
    for (name, cells), side in zip(columns.items(), list_sides(columns), strict=True):
        width = measure_column(name, cells)
        pad = str.ljust if side == "left" else str.rjust
        padded.append([pad(cell, width) for cell in (name, "-" * width, *cells)])
    lines = [(" " * GAP).join(line).rstrip() for line in zip(*padded, strict=True)]
    return "\n".join(lines)


def cut_in_middle(name: str, longest: int) -> str:
    """Shorten a name by an ellipsis in its middle: layers and bases differ at both ends."""
    if len(name) <= longest:
        return name
    head = longest // 2
    tail = longest - head - 1
    return f"{name[:head]}…{name[-tail:]}"


def sentence(row: TableRow) -> str:
    """Say one result in words."""
    views = ""
    if row.views > 1:
        views = f", {row.views} views, {row.test_views} in testing"
    params = "".join(f", {name} = {value:g}" for name, value in row.params.items())
    if weights := word_weights(row):
        params += f", {weights}"
    validated = "validated" if row.clf in TUNED else "cross-validated"
    when = " in an earlier run" if row.recalled else ""
    degenerate = "".join(f"; {line}" for line in list_degenerate([row]))
    return escape_controls(
        f"{row.clf} on {row.base} {row.layer} ({row.pooling}, {row.dim} numbers{views}): "
        f"test accuracy {row.test_accuracy:.3f} (95 % interval {row.ci_low:.3f} to {row.ci_high:.3f}, "
        f"{row.n_test} images), balanced {row.balanced_accuracy:.3f}, macro F1 {row.macro_f1:.3f}, "
        f"expected calibration error {row.calibration_error:.3f}, {validated} {row.cv_accuracy:.3f} "
        f"on {row.n_train} images{params}, {format_seconds(row.fit_seconds, 1)}{when}{degenerate}"
    )


def score_sentence(row: TableRow) -> str:
    """Say in words how a saved model does on other images."""
    noun = "image" if row.n_test == 1 else "images"
    return escape_controls(
        f"{row.clf} on {row.base} {row.layer} ({row.pooling}, {row.dim} numbers): "
        f"accuracy {row.test_accuracy:.3f} (95 % interval {row.ci_low:.3f} to {row.ci_high:.3f}, "
        f"{row.n_test} {noun}), balanced {row.balanced_accuracy:.3f}, macro F1 {row.macro_f1:.3f}, "
        f"expected calibration error {row.calibration_error:.3f}"
    )


def further_figures(row: TableRow) -> str:
    """Say in one line what else is known of a result: figures of ranking and of the two sides of a decision."""
    phrases = []
    for value, name in (
        (row.roc_auc, "ROC AUC"),
        (row.average_precision, "average precision"),
        (row.matthews, "Matthews correlation"),
        (row.sensitivity, "sensitivity"),
        (row.specificity, "specificity"),
    ):
        if value is not None:
            phrases.append(f"{name} {value:.3f}")
    if row.positive is None:
        return f"{', '.join(phrases)} (each class against the rest, averaged)"
    return f"{', '.join(phrases)} (positive class: '{row.positive}')"


def to_csv(rows: Sequence[TableRow]) -> str:
    """Write rows as CSV, with all columns."""
    is_nested = any(row.nested for row in rows)
    lines = []
    for row in rows:
        values = row.to_dict()
        further = [(values["nested"] or {}).get(name) for name in NESTED_COLUMNS] if is_nested else []
        lines.append([*(values[name] for name in COLUMNS), *further])
    further_columns = [f"nested_{name}" for name in NESTED_COLUMNS] if is_nested else []
    return write_csv([[*COLUMNS, *further_columns], *lines])


def write_points(loss: float) -> str:
    """Say how far a row lies below the winner, in points of accuracy."""
    size = f"{abs(100 * loss):.1f} points"
    return f"{size} lower" if loss >= 0 else f"{size} higher"


def write_verdict(row: TableRow) -> str:
    """Say whether the held-out part tells a row apart from the winner (exact McNemar test)."""
    if row.p_adjusted is None or is_tied(row):
        judged = "held-out" if row.nested is None else "judged"
        return f"on {row.n_test} {judged} images that may be chance."
    return f"that is more than chance (p = {row.p_adjusted:.3f})."


def closing_lines(rows: Sequence[TableRow], extracted: int, seconds: float) -> list[str]:
    """Say in plain words which layer won, by how much, whether that is chance, and what a second run costs."""
    winner = best(rows)
    lines = [
        f"Best by cross-validation: {winner.layer} with {winner.clf}, "
        f"{name_accuracy(winner)} {winner.test_accuracy:.3f} ({winner.ci_low:.3f} to {winner.ci_high:.3f})."
    ]
    deepest = find_deepest(rows)
    if deepest.layer != winner.layer:
        in_cv = write_points(winner.cv_accuracy - deepest.cv_accuracy)
        in_test = write_points(winner.test_accuracy - deepest.test_accuracy)
        lines.append(
            f"The deepest of these layers, {deepest.layer} with {deepest.clf}, scores {in_cv} in cross-validation "
            f"and {in_test} {name_part(winner)}; {write_verdict(deepest)}"
        )
    for row in rows:
        if row.clf == "finetuned" and row is not winner:
            in_test = write_points(winner.test_accuracy - row.test_accuracy)
            lines.append(
                f"Fine-tuned from {row.layer} on, the base scores {in_test} on the held-out part; {write_verdict(row)}"
            )
    if extracted:
        spared = format_seconds(seconds, 1)
        lines.append(f"The features are kept: the {spared} of extraction are not needed again in a second run.")
    else:
        lines.append("Nothing was extracted: every feature came from the cache.")
    return [escape_controls(line) for line in lines]


def find_deepest(rows: Sequence[TableRow]) -> TableRow:
    """Find the best row at the deepest layer of the frozen base; rows stand in the base's order."""
    # A fine-tuned row names the stage it was unfrozen from, which is no depth of the frozen base.
    frozen = [row for row in rows if row.clf not in TUNED] or list(rows)
    at_deepest = [row for row in frozen if row.layer == frozen[-1].layer]
    return max(at_deepest, key=lambda row: row.merit)
