"""One classifier in detail: its classes, its confusions and its surest mistakes, as text that stays readable."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from featx.evaluation.error_analysis import ClassReport, Mistake

MOST_CLASSES = 25
"""Longer lists of classes show their weakest only."""

MOST_COLUMNS = 12
"""Wider confusion matrices are written as a list of pairs."""

MOST_PAIRS = 15
WIDTH = 14


def cut_short(name: str, width: int = WIDTH) -> str:
    """Shorten a name to a width, with an ellipsis where it is longer."""
    return name if len(name) <= width else f"{name[: width - 1]}…"


def class_table(reports: Sequence[ClassReport]) -> str:
    """Write precision, recall and F1 of every class; of many classes only the weakest."""
    shown = sorted(reports, key=lambda one: one.f1)[:MOST_CLASSES] if len(reports) > MOST_CLASSES else reports
    rows = [(one.label, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", str(one.images)) for one in shown]
    text = aligned(rows, ("class", "precision", "recall", "F1", "images"))
    left_out = len(reports) - len(shown)
    return text + (f"\n(the {len(shown)} weakest of {len(reports)} classes; --json holds all)" if left_out else "")


def confusion_table(counts: NDArray[np.intp], classes: Sequence[str]) -> str:
    """Write a (k, k) confusion matrix, true class by row; of many classes only the most frequent confusions."""
    if len(classes) <= MOST_COLUMNS:
        rows = [(cut_short(name), *map(str, row)) for name, row in zip(classes, counts.tolist(), strict=True)]
        return aligned(rows, ("true \\ predicted", *(cut_short(name) for name in classes)))
    pairs = [
        (int(counts[true, called]), true, called) for true, called in np.argwhere(counts).tolist() if true != called
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    if not pairs:
        return "no confusions"
    text = aligned(
        [(classes[true], classes[called], str(count)) for count, true, called in pairs[:MOST_PAIRS]],
        ("true", "predicted", "images"),
    )
    more = len(pairs) - MOST_PAIRS
    return text + (f"\n(and {more} rarer confusions; --json holds the matrix)" if more > 0 else "")


def mistake_lines(mistakes: Sequence[Mistake]) -> str:
    """Name the surest mistakes, one a line."""
    lines = [f"  {one.path}: {one.label}, called {one.predicted} ({one.probability:.3f})" for one in mistakes]
    return "\n".join(["Most confident mistakes:", *lines]) if lines else "No mistakes on the held-out images."


def prediction_table(rows: Sequence[tuple[str, str, float]]) -> str:
    """Write path, label and probability, one image a row."""
    return aligned([(path, label, f"{share:.3f}") for path, label, share in rows], ("path", "label", "probability"))


def prediction_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write predictions as CSV: path, label, probability, and one column a class."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    classes = list(rows[0]["probabilities"]) if rows else []
    writer.writerow(["path", "label", "probability", *classes])
    for row in rows:
        writer.writerow([row["path"], row["label"], row["probability"], *row["probabilities"].values()])
    return text.getvalue()


def aligned(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> str:
    """Write a table whose columns are numbers, but for those that hold words."""
    words = [not all(row[column].replace(".", "", 1).isdigit() for row in rows) for column in range(len(headings))]
    sides = ["left" if word or not column else "right" for column, word in enumerate(words)]
    return tabulate(rows, headings, tablefmt="simple", colalign=sides, disable_numparse=True)
