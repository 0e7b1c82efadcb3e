"""Results in words and tables that a person can read, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from tabulate import tabulate

from featx.errors import unknown
from featx.evaluation.result import TUNED, Result, best

COLUMNS = (
    *("base", "layer", "pooling", "clf", "dim", "n_train", "n_test", "cv_accuracy", "test_accuracy"),
    *("ci_low", "ci_high", "balanced_accuracy", "macro_f1", "top5_accuracy", "calibration_error", "p_value"),
    *("megabytes", "ms_per_image", "fit_seconds", "views", "test_views"),
)
"""Fields of a result that CSV files hold, in this order; any of them can be sorted by."""

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
"""Columns that are sorted from the least on; of the others the greatest comes first."""

SAME = 0.05
"""Rows whose p value is at least this cannot be told apart from the best."""


def check_column(column: str | None) -> None:
    """Raise UnknownName if results cannot be sorted by a column: known before anything is fitted."""
    if column is not None and column not in COLUMNS:
        raise unknown("column of `--sort`", column, COLUMNS)


def sort_results(results: Sequence[Result], column: str) -> list[Result]:
    """Sort by a column of `COLUMNS`, best or cheapest first; rows without a value come last."""
    there = [result for result in results if getattr(result, column) is not None]
    there.sort(key=lambda result: getattr(result, column), reverse=column not in RISING)
    return there + [result for result in results if getattr(result, column) is None]


def mark_of(result: Result, winner: Result) -> str:
    """Mark the winner of the cross-validation by `*`, and rows that cannot be told apart from it by `=`."""
    if result is winner:
        return "*"
    return "=" if result.p_value is not None and result.p_value >= SAME else ""


def three(value: float | None) -> str:
    """Write a share with three digits; nothing where there is none."""
    return "" if value is None else f"{value:.3f}"


def cells(result: Result, winner: Result) -> dict[str, str]:
    """Write one row of the table: heading to text."""
    return {
        "": mark_of(result, winner),
        "base": result.base,
        "layer": result.layer,
        "pooling": result.pooling,
        "clf": result.clf,
        "views": "" if result.views == 1 else f"{result.views}, {result.test_views} in testing",
        "length": str(result.dim),
        "cv acc": three(result.cv_accuracy),
        "test acc": three(result.test_accuracy),
        "95 % interval": f"{result.ci_low:.3f}-{result.ci_high:.3f}",
        "p": three(result.p_value),
        "balanced": three(result.balanced_accuracy),
        "macro F1": three(result.macro_f1),
        "top 5": three(result.top5_accuracy),
        "ECE": three(result.calibration_error),
        "MB": "" if result.megabytes is None else f"{result.megabytes:.2f}",
        "ms/image": "" if result.ms_per_image is None else f"{result.ms_per_image:.2f}",
        "seconds": f"{result.fit_seconds:.1f}",
    }


LEFT = ("", "base", "layer", "pooling", "clf")


def table(results: Sequence[Result], style: str = "simple") -> str:
    """Write results as a table, and below it what its marks mean.

    Parameters
    ----------
    results : sequence of Result
    style : str
        A format of tabulate: "simple", or "github" for Markdown.
    """
    winner = best(results)
    rows = [cells(result, winner) for result in results]
    headings = [name for name in rows[0] if name in LEFT or any(row[name] for row in rows)]
    if len({result.base for result in results}) == 1:
        headings.remove("base")
    aligned = ["left" if name in LEFT else "right" for name in headings]
    lines = [[row[name] for name in headings] for row in rows]
    return tabulate(lines, headings, tablefmt=style, colalign=aligned, disable_numparse=True) + legend(results, winner)


def legend(results: Sequence[Result], winner: Result) -> str:
    """Say below a table what its marks mean, and which rows are older than this run."""
    notes = []
    if len(results) > 1:
        notes.append("(*) best by cross-validation; p: exact McNemar test against it on the same held-out images")
    if any(mark_of(result, winner) == "=" for result in results):
        notes.append(f"(=) cannot be told apart from the best (p >= {SAME})")
    if any(result.clf in TUNED for result in results):
        notes.append("(head, finetuned) cv acc is the accuracy on the part of the training images that chose the epoch")
    if earlier := sum(result.recalled for result in results):
        notes.append(
            f"{earlier} of {len(results)} rows are from earlier runs, their seconds as measured then (--refit)"
        )
    return "".join(f"\n\n{note}" if not place else f"\n{note}" for place, note in enumerate(notes))


def sentence(result: Result) -> str:
    """Say one result in words."""
    validated = "validated" if result.clf in TUNED else "cross-validated"
    chosen = ", ".join(f"{name} = {value:g}" for name, value in result.params.items())
    seen = f", {result.views} views, {result.test_views} in testing" if result.views > 1 else ""
    return (
        f"{result.clf} on {result.base} {result.layer} ({result.pooling}, {result.dim} numbers{seen}): "
        f"test accuracy {result.test_accuracy:.3f} (95 % interval {result.ci_low:.3f} to {result.ci_high:.3f}, "
        f"{result.n_test} images), balanced {result.balanced_accuracy:.3f}, macro F1 {result.macro_f1:.3f}, "
        f"expected calibration error {result.calibration_error:.3f}, {validated} {result.cv_accuracy:.3f} "
        f"on {result.n_train} images{', ' + chosen if chosen else ''}, {result.fit_seconds:.1f} s"
        f"{' in an earlier run' if result.recalled else ''}"
    )


def to_csv(results: Sequence[Result]) -> str:
    """Write results as CSV, one row each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.to_dict() for result in results)
    return text.getvalue()


def points(gain: float) -> str:
    """Say how far a row lies below the winner, in points of accuracy."""
    return f"{abs(100 * gain):.1f} points {'less' if gain >= 0 else 'more'}"


def verdict(other: Result) -> str:
    """Say whether the held-out part tells a row apart from the winner (exact McNemar test)."""
    if other.p_value is None or other.p_value >= SAME:
        return f"on {other.n_test} held-out images that may be chance."
    return f"that is more than chance (p = {other.p_value:.3f})."


def closing_lines(results: Sequence[Result], extracted: int, seconds: float) -> list[str]:
    """Say in plain words which cut won, by how much, whether that is more than chance, and what a second run costs."""
    winner = best(results)
    lines = [
        f"Best by cross-validation: {winner.layer} with {winner.clf}, "
        f"test accuracy {winner.test_accuracy:.3f} ({winner.ci_low:.3f} to {winner.ci_high:.3f})."
    ]
    frozen = [result for result in results if result.clf not in TUNED] or results
    deepest = max((r for r in frozen if r.layer == frozen[-1].layer), key=lambda result: result.cv_accuracy)
    if deepest.layer != winner.layer:
        chosen = points(winner.cv_accuracy - deepest.cv_accuracy)
        judged = points(winner.test_accuracy - deepest.test_accuracy)
        lines.append(
            f"The deepest cut, {deepest.layer} with {deepest.clf}, has {chosen} in cross-validation "
            f"and {judged} on the held-out part; {verdict(deepest)}"
        )
    for tuned in (result for result in results if result.clf == "finetuned" and result is not winner):
        judged = points(winner.test_accuracy - tuned.test_accuracy)
        lines.append(f"Fine-tuned from {tuned.layer} on, the base has {judged} on the held-out part; {verdict(tuned)}")
    if extracted:
        lines.append(f"The features are kept: the {seconds:.1f} s of extraction are not needed again in a second run.")
    else:
        lines.append("Nothing was extracted: every feature came from the cache.")
    return lines
