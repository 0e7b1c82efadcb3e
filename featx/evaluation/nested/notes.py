"""What to know of nested cross-validation, and of a table that would gain by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from featx.evaluation.nested.evaluations import NestedRow
from featx.evaluation.nested.folds import OuterFolds, has_own_split, rate_majority
from featx.evaluation.nested.interval import Resampling, corrected_interval
from featx.evaluation.notes import compare_with_majority, find_majority, note_small_classes, note_weights
from featx.evaluation.result import TUNED, Evaluation, best
from featx.evaluation.table_row import TableRow
from featx.features.dataset import Dataset
from featx.features.splits import FOLDS
from featx.requests import ClassWeight

WORTH_NESTING = range(20, 1000)
"""Images of a data set for which a table says what nested cross-validation would bring.

Of fewer, no interval is of use; from 1,000 on, a quarter of them is.
"""


def note_nested_row(
    row: NestedRow, pooled: Evaluation, outer: OuterFolds, class_weight: ClassWeight = "none"
) -> tuple[str, ...]:
    """Say what is to be known of one row of nested cross-validation, a phrase each.

    Parameters
    ----------
    pooled : Evaluation
        All its folds.
    class_weight : str
        What was asked for.
    """
    dataset = outer.pooled_dataset
    everything = dataset.test | dataset.train
    notes = [
        compare_with_majority(pooled, dataset, find_majority(dataset, everything), "nested"),
        note_edges(row),
        note_weights(pooled, dataset, class_weight),
    ]
    return tuple(note for note in notes if note)


def note_edges(row: NestedRow) -> str | None:
    """Say in how many folds C was chosen at an edge of all values that were tried; nothing where it was in few."""
    edges = Counter(evaluation.edge for folds in row.by_fold for evaluation in folds)
    count = edges.total()
    edge, at_edge = edges.most_common(1)[0]
    if edge is None or at_edge < count / 2:
        return None
    return f"C is the {edge} that was tried in {at_edge} of {count} folds: one beyond it may do better"


def note_judged_classes(outer: OuterFolds) -> tuple[str, ...]:
    """Name the classes of which few images are judged."""
    return note_small_classes(outer.pooled_dataset, "judged")


def note_tuned() -> str:
    """Say why fine-tuned networks are no rows of nested cross-validation."""
    return f"{' and '.join(TUNED)} are not judged by nested cross-validation, which would fine-tune once for each fold"


def hint_at_nested(rows: Sequence[TableRow], dataset: Dataset) -> tuple[str, ...]:
    """Say what nested cross-validation would bring to a table with one held-out part, and what it would cost.

    Only where featx drew the held-out part and there are few images, so that its interval is wide.

    Returns
    -------
    tuple of str
        One phrase, or none.
    """
    fitted = [row for row in rows if row.clf not in TUNED]
    images = len(dataset.y)
    if has_own_split(dataset) or images not in WORTH_NESTING or not fitted:
        return ()
    winner = best(fitted)
    low, high = corrected_interval(winner.test_accuracy, Resampling(images, rate_majority(dataset), FOLDS))
    here = 50 * (winner.ci_high - winner.ci_low)
    there = 50 * (high - low)
    # A fold trains on a few more images than this table did.
    more_images = images * (FOLDS - 1) / FOLDS / winner.n_train
    times = FOLDS * more_images
    return (
        f"`--nested` would judge all {images} images instead of the {winner.n_test} held out, which narrows the "
        f"interval (here +-{here:.1f} to about +-{there:.1f} points), for about {times:.0f} times the seconds of "
        "this table",
    )
