"""The ladder of an automatic choice in words: a table of steps, and what comes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tabulate import tabulate

from featx.ladder.procedure import ProcedureEstimate
from featx.ladder.report import AutoReport, LadderRow
from featx.log import escape_controls
from featx.reports.table import further_figures, sentence
from featx.timing import format_seconds

GAP = "  "
"""Between columns."""


def ladder_table(report: AutoReport) -> str:
    """Write the ladder as a table: what each step tried, reached, gained and cost."""
    figure = "cv accuracy" if report.select is None else f"cv {report.select.replace('_', ' ')}"
    has_bases = len(report.bases) > 1
    headings = ["step", "best candidate", figure, "before", "gain", "cost", ""]
    cells = [ladder_cells(row) for row in report.ladder]
    if has_bases:
        headings.insert(0, "base")
        cells = [[escape_controls(row.base), *of_row] for row, of_row in zip(report.ladder, cells, strict=True)]
    alignment = ["left"] * (len(headings) - 5) + ["right"] * 4 + ["left"]
    table = tabulate(cells, headings, tablefmt="plain", disable_numparse=True, colalign=alignment)
    return "\n".join(line.rstrip() for line in table.splitlines())


def ladder_cells(row: LadderRow) -> list[str]:
    """Write the cells of one step."""
    if row.candidate is None or row.figure is None:
        return [row.step, "", "", "", "", "", row.remark]
    return [
        row.step,
        escape_controls(row.candidate),
        f"{row.figure:.3f}",
        "" if row.before is None else f"{row.before:.3f}",
        word_gain(row),
        "" if row.seconds is None else format_seconds(row.seconds),
        row.remark,
    ]


def word_gain(row: LadderRow) -> str:
    """Write what a step gained in points, with one standard error."""
    if row.gain is None or row.standard_error is None:
        return ""
    if not math.isfinite(row.standard_error):
        # Too few folds to tell.
        return f"{row.gain:+.1f}"
    return f"{row.gain:+.1f} ± {row.standard_error:.1f}"


def word_estimate(estimate: ProcedureEstimate) -> list[str]:
    """Say how good the choice itself is."""
    chosen = [f"{name} in {count}" for name, count in estimate.chosen.items()]
    return [
        f"The choice itself, made again in each of {estimate.folds} outer folds: {estimate.accuracy:.3f} of all "
        f"{estimate.images} images right, each judged by what never saw it "
        f"({estimate.ci_low:.3f} to {estimate.ci_high:.3f}).",
        f"Chosen there: {'; '.join(chosen)}.",
    ]


def describe_auto(report: AutoReport) -> list[str]:
    """Write the ladder and what comes of it, line by line."""
    lines = [ladder_table(report), ""]
    lines.append(
        f"Measured on {report.measured_on}; 'before' is what a step is compared with, on the same folds, and gains are "
        "in points, with one standard error."
    )
    lines += [sentence(report.fit.result), *describe_final_folds(report), further_figures(report.fit.result)]
    if report.estimate is not None:
        lines += word_estimate(report.estimate)
    elif report.estimate_remark:
        lines.append(f"note: {report.estimate_remark}")
    notes: Sequence[str] = (*report.fit.result.notes, *report.fit.result.data_notes)
    lines += [f"note: {escape_controls(note)}" for note in notes]
    if report.whole:
        lines.append("The model was then trained on all images; the figures are those of the one that was not.")
    return lines


def describe_final_folds(report: AutoReport) -> list[str]:
    """Say why the final fit has another cross-validated accuracy than the same candidate has in the ladder, if so."""
    if report.select is not None:
        return []
    chosen = report.chosen.describe()
    final = f"{report.fit.result.cv_accuracy:.3f}"
    in_ladder = ""
    for row in report.ladder:
        if (row.base, row.candidate) == (report.base, chosen) and row.figure is not None:
            in_ladder = f"{row.figure:.3f}"
    if in_ladder in ("", final):
        return []
    return [
        f"The {final} here and the {in_ladder} in the ladder are of the same features and classifier: this fit "
        f"validates as `featx fit` does, on one set of folds, the ladder on {report.measured_on}."
    ]
