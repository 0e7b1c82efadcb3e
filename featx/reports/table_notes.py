"""What stands below a table: what its marks mean, and what is to be known of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from featx.errors import shorten
from featx.evaluation.metrics import SIGNIFICANCE
from featx.evaluation.result import TUNED
from featx.evaluation.table_row import TableRow, word_degenerate
from featx.log import escape_controls

CV_HEADINGS = {
    "accuracy": "cv acc",
    "balanced_accuracy": "cv balanced",
    "macro_f1": "cv macro F1",
    "roc_auc": "cv ROC AUC",
    "log_loss": "cv log-loss",
    "average_precision": "cv AP",
}
"""Figure of `--select` to the heading of its column."""

OF_POSITIVE = ("AP", "sens.", "spec.")
"""Columns that speak of the positive class, where there are two."""


def is_tied(row: TableRow) -> bool:
    """Whether a row cannot be told apart from the best one."""
    return row.p_adjusted is not None and row.p_adjusted >= SIGNIFICANCE


def mark_row(row: TableRow, winner: TableRow) -> str:
    """Mark the winner of the cross-validation by `*`, and rows that cannot be told apart from it by `=`."""
    if row is winner:
        return "*"
    return "=" if is_tied(row) else ""


def write_notes(
    rows: Sequence[TableRow],
    winner: TableRow,
    columns: Sequence[str] = (),
    shown: Sequence[str] = (),
    width: int | None = None,
) -> str:
    """Say below a table what its marks mean, what is to be known of its rows, and which columns are not shown."""
    notes = []
    left_out = [name for name in columns if name not in shown]
    if left_out:
        notes.append(f"not shown: {shorten(left_out, 20)} (--wide shows all columns)")
    notes += explain_marks(rows, winner)
    if winner.positive is not None and set(OF_POSITIVE) & set(shown):
        notes.append(
            escape_controls(
                f"(AP, sens., spec.) average precision, sensitivity, specificity of '{winner.positive}' (--positive)"
            )
        )
    if any(row.clf in TUNED for row in rows):
        notes.append("(head, finetuned) cv acc is the accuracy on the part of the training images that chose the epoch")
    for note in gather_notes(rows):
        notes += wrap(note, width or len(note), subsequent_indent="  ")
    earlier = sum(row.recalled for row in rows)
    if earlier == 1:
        notes.append(f"1 of {len(rows)} rows is from an earlier run, its seconds as measured then (--refit)")
    elif earlier:
        notes.append(f"{earlier} of {len(rows)} rows are from earlier runs, their seconds as measured then (--refit)")
    if not notes:
        return ""
    return "\n\n" + "\n".join(notes)


def explain_marks(rows: Sequence[TableRow], winner: TableRow) -> list[str]:
    """Say what the marks of a table mean, in a line each."""
    lines = []
    if len(rows) > 1:
        figure = "" if winner.select is None else f" ({CV_HEADINGS[winner.select].removeprefix('cv ')})"
        inside = "" if winner.nested is None else " inside the outer folds"
        images = "held-out images" if winner.nested is None else "judged images"
        first = " of the first repeat" if winner.nested is not None and winner.nested.repeats > 1 else ""
        lines.append(
            f"(*) best by cross-validation{inside}{figure}; "
            f"p: exact McNemar test against it on the same {images}{first}"
        )
    if len(rows) > 2:
        lines.append(f"(p) adjusted for {len(rows) - 1} tests by Holm's method; JSON and CSV have it unadjusted, too")
    if any(mark_row(row, winner) == "=" for row in rows):
        lines.append(f"(=) cannot be told apart from the best (p >= {SIGNIFICANCE})")
    return lines


def gather_notes(rows: Sequence[TableRow]) -> list[str]:
    """Write each note once, with the rows that it is of, then those of the data set."""
    rows_of_note: dict[str, list[TableRow]] = {}
    data_notes: dict[str, None] = {}
    has_several_bases = len({row.base for row in rows}) > 1
    for row in rows:
        for text in row.notes:
            rows_of_note.setdefault(text, []).append(row)
        data_notes.update(dict.fromkeys((*row.data_notes, *row.hints)))
    lines = list_weights(rows)
    for text, noted in rows_of_note.items():
        names = [f"{row.layer} {row.clf}" for row in noted]
        if has_several_bases:
            names = [f"{row.base} {row.layer} {row.clf}" for row in noted]
        of_rows = "every row" if count_learning(noted) == count_learning(rows) > 1 else shorten(names, 6)
        lines.append(f"{text}: {of_rows}")
    # Names of layers and classes are in them.
    return [escape_controls(line) for line in (*lines, *list_degenerate(rows), *data_notes)]


def count_learning(rows: Sequence[TableRow]) -> int:
    """Count the rows that take anything from features: all but the dummy's."""
    return sum(row.clf != "dummy" for row in rows)


def list_weights(rows: Sequence[TableRow]) -> list[str]:
    """Say how training was weighted, in one line for each way; the dummy's says nothing new beside others."""
    lines: dict[str, None] = {}
    for row in rows:
        weights = word_weights(row)
        if weights and (row.clf != "dummy" or not count_learning(rows)):
            lines[f"training and the choice of C are weighted ({weights}); the figures are not"] = None
    return list(lines)


def word_weights(row: TableRow) -> str:
    """Say in words which weights there were in training; nothing where there were none."""
    words = []
    if row.class_weight is not None:
        words.append(f"class weights {row.class_weight}")
    if row.weighted_images:
        words.append("a weight for each image")
    return ", ".join(words)


def list_degenerate(rows: Sequence[TableRow]) -> list[str]:
    """Name the layers whose features tell no images apart, in one line each."""
    return list(dict.fromkeys(word_degenerate(row) for row in rows if row.degenerate))
