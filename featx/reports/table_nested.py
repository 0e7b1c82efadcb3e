"""What nested cross-validation adds to a table: the figure of the choice itself, and what its columns mean."""

from __future__ import annotations

from textwrap import wrap

from featx.evaluation.nested.figures import NestedReport, Procedure
from featx.evaluation.table_row import TableRow
from featx.log import escape_controls

MOST_CHOICES = 4
"""Rows that were chosen in some fold, and are named."""


def name_accuracy(row: TableRow) -> str:
    """Name the accuracy of a row."""
    return "test accuracy" if row.nested is None else "nested accuracy"


def name_part(row: TableRow) -> str:
    """Say where the figures of a row were measured."""
    return "on the held-out part" if row.nested is None else "in nested cross-validation"


def write_nested(nested: NestedReport, width: int | None = None) -> str:
    """Write the lines between a table of nested cross-validation and the notes below it.

    Parameters
    ----------
    nested : NestedReport
    width : int, optional
        Characters in a line; None: as long as they are.
    """
    lines = [
        write_procedure(nested.procedure),
        f"(nested acc) {nested.split}; all choices made anew inside; so are the other figures",
    ]
    if nested.repeats > 1:
        lines.append(
            f"(spread) standard deviation between the {nested.repeats} repeats, whose mean the figures are: other "
            "folds of the same images"
        )
    lines.append(f"(95 % CI) {nested.interval}")
    lines += nested.notes
    wrapped = []
    for line in lines:
        text = escape_controls(line)
        wrapped += wrap(text, width or len(text), subsequent_indent="  ")
    return "\n\n" + "\n".join(wrapped)


def write_procedure(procedure: Procedure) -> str:
    """Say how well "let featx choose" does, and what it chose."""
    total = sum(choice.folds for choice in procedure.chosen)
    has_several_bases = len({choice.base for choice in procedure.chosen}) > 1
    has_several_poolings = len({choice.pooling for choice in procedure.chosen}) > 1
    chosen: list[str] = []
    for choice in procedure.chosen[:MOST_CHOICES]:
        base = f"{choice.base} " if has_several_bases else ""
        pooling = f" ({choice.pooling})" if has_several_poolings else ""
        often = f"{choice.folds} of {total} folds" if not chosen else str(choice.folds)
        chosen.append(f"{base}{choice.layer}{pooling} {choice.clf} in {often}")
    others = len(procedure.chosen) - MOST_CHOICES
    if others > 0:
        chosen.append(f"{others} more")
    return (
        f"let featx choose: {procedure.test_accuracy:.3f} ({procedure.ci_low:.3f} to {procedure.ci_high:.3f}), "
        f"chosen: {', '.join(chosen)}"
    )


def nested_sentence(row: TableRow, nested: NestedReport) -> str:
    """Say in words what nested cross-validation says of one configuration."""
    spread = ""
    if row.nested is not None and row.nested.spread is not None:
        spread = f", standard deviation {row.nested.spread:.3f} between {nested.repeats} repeats"
    return escape_controls(
        f"{nested.folds}-fold nested cross-validation: accuracy {row.test_accuracy:.3f} "
        f"(95 % interval {row.ci_low:.3f} to {row.ci_high:.3f}, {row.n_test} images{spread}), "
        f"balanced {row.balanced_accuracy:.3f}, macro F1 {row.macro_f1:.3f}, "
        f"expected calibration error {row.calibration_error:.3f}"
    )
