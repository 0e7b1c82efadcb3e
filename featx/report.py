"""Results in words and tables that a person can read, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from tabulate import tabulate

from featx.classifiers.results import Result, best

COLUMNS = (
    *("base", "layer", "pooling", "clf", "dim", "n_train", "n_test", "cv_accuracy", "test_accuracy"),
    *("ci_low", "ci_high", "macro_f1", "fit_seconds"),
)
"""Fields of a result that CSV files hold, in this order."""


def table(results: Sequence[Result]) -> str:
    """Write results as a table, the winner of the cross-validation marked by `*`."""
    winner = best(results)
    rows = [
        (
            "*" if result is winner else "",
            result.layer,
            result.pooling,
            result.clf,
            result.dim,
            f"{result.cv_accuracy:.3f}",
            f"{result.test_accuracy:.3f}",
            f"{result.ci_low:.3f}-{result.ci_high:.3f}",
            f"{result.macro_f1:.3f}",
            f"{result.fit_seconds:.1f}",
        )
        for result in results
    ]
    headers = ("", "layer", "pooling", "clf", "length", "cv acc", "test acc", "95 % interval", "macro F1", "seconds")
    aligned = ("left", "left", "left", "left", "right", "right", "right", "center", "right", "right")
    return tabulate(rows, headers, tablefmt="simple", colalign=aligned, disable_numparse=True)


def sentence(result: Result) -> str:
    """Say one result in words."""
    chosen = ", ".join(f"{name} = {value:g}" for name, value in result.params.items())
    return (
        f"{result.clf} on {result.base} {result.layer} ({result.pooling}, {result.dim} numbers): "
        f"test accuracy {result.test_accuracy:.3f} (95 % interval {result.ci_low:.3f} to {result.ci_high:.3f}, "
        f"{result.n_test} images), macro F1 {result.macro_f1:.3f}, cross-validated {result.cv_accuracy:.3f} "
        f"on {result.n_train} images{', ' + chosen if chosen else ''}, {result.fit_seconds:.1f} s"
    )


def to_csv(results: Sequence[Result]) -> str:
    """Write results as CSV, one row each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.to_dict() for result in results)
    return text.getvalue()


def closing_lines(results: Sequence[Result], extracted: int, seconds: float) -> list[str]:
    """Say in plain words which cut won, by how much, whether that is more than chance, and what a second run costs."""
    winner = best(results)
    lines = [
        f"Best by cross-validation: {winner.layer} with {winner.clf}, "
        f"test accuracy {winner.test_accuracy:.3f} ({winner.ci_low:.3f} to {winner.ci_high:.3f})."
    ]
    deepest = max((r for r in results if r.layer == results[-1].layer), key=lambda result: result.cv_accuracy)
    if deepest.layer != winner.layer:
        gain = winner.test_accuracy - deepest.test_accuracy
        apart = winner.ci_low > deepest.ci_high
        verdict = (
            "their intervals do not overlap: more than chance" if apart else "their intervals overlap: it may be chance"
        )
        lines.append(
            f"That is {abs(100 * gain):.1f} points {'above' if gain >= 0 else 'below'} the deepest cut, "
            f"{deepest.layer} with {deepest.clf} ({deepest.test_accuracy:.3f}); {verdict}."
        )
    if extracted:
        lines.append(f"The features are kept: the {seconds:.1f} s of extraction are not needed again in a second run.")
    else:
        lines.append("Nothing was extracted: every feature came from the cache.")
    return lines
