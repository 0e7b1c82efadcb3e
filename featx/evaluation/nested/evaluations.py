"""Evaluate every row in every outer fold; what earlier runs left is recalled fold by fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from featx.evaluation.comparison import Comparison, Task
from featx.evaluation.nested.folds import OuterFolds
from featx.evaluation.result import Evaluation
from featx.evaluation.side_by_side import evaluate_tasks
from featx.features.catalog import LayerSet
from featx.types import Progress

ByFold = list[list[Evaluation]]
"""Evaluations of one row: for each repeat, one for each fold."""


@dataclass(frozen=True)
class NestedRow:
    """A layer set and a classifier in all outer folds."""

    layer_set: LayerSet
    by_fold: ByFold


def evaluate_nested(
    comparisons: Sequence[Comparison], outer: OuterFolds, progress: Progress | None = None
) -> list[NestedRow]:
    """Evaluate all rows of all bases in all outer folds, several at a time where that pays.

    Parameters
    ----------
    comparisons : sequence of Comparison
        One a base, as for a single held-out part.
    outer : OuterFolds
    progress : callable, optional
        Called with the number of evaluations done and to be done.

    Returns
    -------
    list of NestedRow
        In the order of the table.
    """
    tasks: list[Task] = []
    for comparison in comparisons:
        for layer_set in comparison.layer_sets:
            tasks += [(fold, layer_set) for folds in take_folds(comparison, outer) for fold in folds]
    evaluated = iter(evaluate_tasks(tasks, progress))
    rows = []
    for comparison in comparisons:
        for layer_set in comparison.layer_sets:
            rows += gather_rows(comparison, layer_set, outer, evaluated)
    return rows


def take_folds(comparison: Comparison, outer: OuterFolds) -> list[list[Comparison]]:
    """Turn a comparison into one for each outer fold, by repeat: other rows are held out, and seeds rise by repeat."""
    of_repeats = []
    for repeat in range(outer.repeats):
        request = replace(comparison.request.held_out(), seed=outer.seed + repeat)
        of_repeats.append(
            [
                replace(comparison, request=request, dataset=replace(outer.dataset, test=mask))
                for mask in outer.list_masks(repeat)
            ]
        )
    return of_repeats


def gather_rows(
    comparison: Comparison, layer_set: LayerSet, outer: OuterFolds, evaluated: Iterator[list[Evaluation]]
) -> list[NestedRow]:
    """Take the evaluations of a layer set off all evaluations, one row a classifier."""
    rows = [NestedRow(layer_set, []) for _ in comparison.classifiers]
    for repeat in range(outer.repeats):
        of_folds = [next(evaluated) for _ in outer.list_masks(repeat)]
        for row, of_classifier in zip(rows, zip(*of_folds, strict=True), strict=True):
            row.by_fold.append(list(of_classifier))
    return rows
