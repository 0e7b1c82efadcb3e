"""One classifier in detail: its classes, its confusions and its mistakes, as text that stays readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from featx.log import escape_controls
from featx.reports.csv_text import Cell, write_csv

if TYPE_CHECKING:
    # It imports scikit-learn, and `predict` writes tables without: that is a second of its time.
    from featx.evaluation.error_analysis import ClassReport, Mistake

MOST_CLASSES = 25
"""Longer lists of classes show their weakest only."""

MOST_COLUMNS = 12
"""Wider confusion matrices are written as a list of pairs."""

MOST_PAIRS = 15
"""Pairs of confused classes that such a list names."""

WIDTH = 14
"""Characters of a class's name in a confusion matrix: twelve columns of them are the most that people can read."""


def cut_short(name: str, width: int = WIDTH) -> str:
    """Shorten a name to a width, with an ellipsis where it is longer."""
    return name if len(name) <= width else f"{name[: width - 1]}…"


def class_table(reports: Sequence[ClassReport]) -> str:
    """Write precision, recall and F1 of every class; of many classes only the weakest."""
    shown = list(reports)
    # A hundred classes fill the screen; the weak ones are what one looks for.
    if len(reports) > MOST_CLASSES:
        shown = sorted(reports, key=lambda report: report.f1)[:MOST_CLASSES]
    lines = []
    for report in shown:
        shares = (f"{share:.3f}" for share in (report.precision, report.recall, report.f1))
        lines.append((report.label, *shares, str(report.images)))
    text = align(lines, ("class", "precision", "recall", "F1", "images"))
    if len(shown) < len(reports):
        text += f"\n(the {len(shown)} weakest of {len(reports)} classes; --json holds all)"
    return text


def confusion_table(counts: NDArray[np.intp], classes: Sequence[str]) -> str:
    """Write a (k, k) confusion matrix, true class by row; of many classes only the most frequent confusions."""
    if len(classes) > MOST_COLUMNS:
        return confusion_pairs(counts, classes)
    names = [cut_short(escape_controls(name)) for name in classes]
    lines = [(name, *map(str, row)) for name, row in zip(names, counts.tolist(), strict=True)]
    return align(lines, ("true \\ predicted", *names))


def confusion_pairs(counts: NDArray[np.intp], classes: Sequence[str]) -> str:
    """Write the most frequent confusions of a (k, k) confusion matrix, one pair of classes a line."""
    pairs = []
    for true, predicted in np.argwhere(counts).tolist():
        if true != predicted:
            pairs.append((int(counts[true, predicted]), true, predicted))
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    if not pairs:
        return "no confusions"
    lines = [(classes[true], classes[predicted], str(count)) for count, true, predicted in pairs[:MOST_PAIRS]]
    text = align(lines, ("true", "predicted", "images"))
    rarer = len(pairs) - MOST_PAIRS
    if rarer > 0:
        noun = "confusion" if rarer == 1 else "confusions"
        text += f"\n(and {rarer} rarer {noun}; --json holds the matrix)"
    return text


def mistake_lines(mistakes: Sequence[Mistake]) -> str:
    """Name the most confident mistakes, one a line."""
    if not mistakes:
        return "No mistakes on the held-out images."
    lines = ["Most confident mistakes:"]
    for wrong in mistakes:
        line = f"  {wrong.path}: {wrong.label}, called {wrong.predicted} ({wrong.probability:.3f})"
        lines.append(escape_controls(line))
    return "\n".join(lines)


def prediction_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write path, label and probability, strangeness and the set of classes where there are any, one image a row.

    Parameters
    ----------
    rows : sequence of dict
        As `Predictions.to_dicts` gives them; images that failed are passed over.
    """
    labelled = [row for row in rows if row["label"] is not None]
    has_strangeness = any(row["strangeness"] is not None for row in labelled)
    has_sets = any(row.get("classes") is not None for row in labelled)
    headings = ["path", "label", "probability"]
    if has_strangeness:
        headings.append("strangeness")
    if has_sets:
        headings.append("set")
    lines = []
    for row in labelled:
        line = [row["path"], row["label"], f"{row['probability']:.3f}"]
        if has_strangeness:
            strangeness = row["strangeness"]
            line.append("" if strangeness is None else f"{strangeness:.3f}")
        if has_sets:
            line.append(" | ".join(row["classes"]))
        lines.append(line)
    return align(lines, headings)


def prediction_csv(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """Write predictions as CSV: path, label, probability, p(CLASS) of every class, why an image failed, strangeness.

    Parameters
    ----------
    rows : sequence of dict
        As `Predictions.to_dicts` gives them. Sets of classes, where there are any, are a column in(CLASS) each, of 1
        and 0.
    classes : sequence of str
        The model's. In brackets none of them can be taken for another column.
    """
    has_sets = any(row.get("classes") is not None for row in rows)
    members = [f"in({name})" for name in classes] if has_sets else []
    heading = ["path", "label", "probability", *(f"p({name})" for name in classes), "reason", "strangeness", *members]
    lines: list[Sequence[Cell]] = [heading]
    for row in rows:
        probabilities = row["probabilities"] or dict.fromkeys(classes)
        values = [probabilities[name] for name in classes]
        chosen = row.get("classes")
        is_member = [None if chosen is None else int(name in chosen) for name in classes] if has_sets else []
        line = [row["path"], row["label"], row["probability"], *values, row.get("reason"), row["strangeness"]]
        lines.append([*line, *is_member])
    return write_csv(lines)


def scored_csv(images: Sequence[tuple[str, str, str, float]], failed: Sequence[tuple[str, str]]) -> str:
    """Write scored images as CSV: path, label, predicted and its probability, and why an image failed.

    Parameters
    ----------
    images : sequence of (path, label, predicted, probability)
    failed : sequence of (path, reason)
    """
    lines: list[Sequence[Cell]] = [["path", "label", "predicted", "probability", "reason"]]
    lines += [(*image, None) for image in images]
    lines += [(path, None, None, None, reason) for path, reason in failed]
    return write_csv(lines)


def align(lines: Sequence[Sequence[str]], headings: Sequence[str]) -> str:
    """Write a table: words to the left, numbers to the right, and the first column always to the left."""
    lines = [list(map(escape_controls, line)) for line in lines]
    headings = list(map(escape_controls, headings))
    sides = []
    for column in range(len(headings)):
        is_number = all(line[column].replace(".", "", 1).isdigit() for line in lines)
        sides.append("right" if column and is_number else "left")
    return tabulate(lines, headings, tablefmt="simple", colalign=sides, disable_numparse=True)
