"""What a table comes to, in a few sentences: which layer won, by how much, and whether that is chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from featx.evaluation.result import TUNED, best
from featx.evaluation.table_row import TableRow
from featx.log import escape_controls
from featx.reports.table_nested import name_accuracy, name_part
from featx.reports.table_notes import is_tied
from featx.timing import format_seconds

Depths = Mapping[tuple[str, str], int]
"""Base and layer to its place in the base."""


def closing_lines(rows: Sequence[TableRow], depths: Depths) -> list[str]:
    """Say in plain words which layer won, by how much, and whether that is chance.

    Parameters
    ----------
    rows : sequence of TableRow
    depths : mapping of (base, layer) to int
        As `ComparisonReport` has them. Rows need not stand in the order of depth.
    """
    winner = best(rows)
    origin = "Best by cross-validation" if len(rows) > 1 else "The only configuration"
    lines = [
        f"{origin}: {name_features(winner, rows)} with {winner.clf}, "
        f"{name_accuracy(winner)} {winner.test_accuracy:.3f} ({winner.ci_low:.3f} to {winner.ci_high:.3f})."
    ]
    deepest = find_deepest_row(rows, winner, depths)
    if deepest is not None and deepest.layer != winner.layer:
        in_cv = write_points(winner.cv_accuracy - deepest.cv_accuracy)
        in_test = write_points(winner.test_accuracy - deepest.test_accuracy)
        lines.append(
            f"The deepest of these layers, {name_features(deepest, rows)} with {deepest.clf}, scores {in_cv} in "
            f"cross-validation and {in_test} {name_part(winner)}; {judge_difference(deepest)}"
        )
    for row in rows:
        if row.clf == "finetuned" and row is not winner:
            in_test = write_points(winner.test_accuracy - row.test_accuracy)
            lines.append(
                f"Fine-tuned from {row.layer} on, the base scores {in_test} on the held-out part; "
                f"{judge_difference(row)}"
            )
    return [escape_controls(line) for line in lines]


def say_extraction(extracted: int, seconds: float) -> str:
    """Say what a second run costs."""
    if not extracted:
        return "Nothing was extracted: every feature came from the cache."
    spared = format_seconds(seconds, 1)
    return f"The features are kept: the {spared} of extraction are not needed again in a second run."


def name_features(row: TableRow, rows: Sequence[TableRow]) -> str:
    """Name the features of a row by all that tells them apart from those of the others."""
    name = row.layer
    if len({other.pooling for other in rows}) > 1:
        name += f" ({row.pooling})"
    if len({other.base for other in rows}) > 1:
        name += f" of {row.base}"
    return name


def find_deepest_row(rows: Sequence[TableRow], winner: TableRow, depths: Depths) -> TableRow | None:
    """Find the best row at the deepest single layer of the winner's frozen base; None where there is none."""
    # The layer of a fine-tuned row is where unfreezing began, not a depth of the frozen base.
    frozen = [row for row in rows if row.clf not in TUNED and row.base == winner.base]
    depth_of = {row.layer: depths[row.base, row.layer] for row in frozen if (row.base, row.layer) in depths}
    if not depth_of:
        return None
    deepest = max(depth_of, key=lambda layer: depth_of[layer])
    return max((row for row in frozen if row.layer == deepest), key=lambda row: row.merit)


def write_points(loss: float) -> str:
    """Say how far a row lies below the winner, in points of accuracy."""
    size = f"{abs(100 * loss):.1f} points"
    if size == "0.0 points":
        return "the same"
    return f"{size} lower" if loss >= 0 else f"{size} higher"


def judge_difference(row: TableRow) -> str:
    """Say whether the held-out part tells a row apart from the winner (exact McNemar test)."""
    if row.p_adjusted is None or is_tied(row):
        judged = "held-out" if row.nested is None else "judged"
        return f"on {row.n_test} {judged} images that may be chance."
    return f"that is more than chance (p = {row.p_adjusted:.3f})."
