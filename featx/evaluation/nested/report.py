"""Nested cross-validation of a whole table: its rows, and what is said of all of them together."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from featx.errors import RequestError
from featx.evaluation.comparison import Comparison
from featx.evaluation.nested.evaluations import NestedRow, evaluate_nested
from featx.evaluation.nested.figures import NestedReport
from featx.evaluation.nested.folds import OuterFolds, describe_outer_folds, describe_shortage, make_outer_folds
from featx.evaluation.nested.interval import describe_interval
from featx.evaluation.nested.notes import note_judged_classes, note_nested_row, note_tuned
from featx.evaluation.nested.pooling import pool_folds, state_resampling
from featx.evaluation.nested.procedure import judge_procedure
from featx.evaluation.table_row import TableRow, compare_with_best, make_table_row
from featx.log import note
from featx.types import Progress

log = logging.getLogger(__name__)


def nest(comparisons: Sequence[Comparison], progress: Progress | None = None) -> tuple[list[TableRow], NestedReport]:
    """Judge every row of a table, and the choice among them, by nested cross-validation.

    Parameters
    ----------
    comparisons : sequence of Comparison
        One a base; their request says how many folds and repeats.
    progress : callable, optional
        Called with the number of evaluations done and to be done.

    Returns
    -------
    rows : list of TableRow
        In the order of the table; what the figures of one held-out part are called elsewhere are those of all judged
        images here.
    report : NestedReport

    Raises
    ------
    RequestError
        If no row can be judged so.
    DataError
        If the images cannot be divided into folds.
    """
    request = comparisons[0].request
    outer = make_outer_folds(comparisons[0].dataset, request.nested or 2, request.repeats, request.seed)
    if not comparisons[0].classifiers:
        raise RequestError(f"{note_tuned()}: name other classifiers, or leave --nested out")
    split = describe_outer_folds(outer)
    note(log, split)
    shortage = describe_shortage(outer)
    for phrase in shortage:
        log.warning("%s", phrase)
    nested_rows = evaluate_nested(comparisons, outer, progress)
    rows = make_rows(comparisons[0], nested_rows, outer)
    procedure = judge_procedure(nested_rows, outer)
    images = int(outer.judged().sum())
    report = NestedReport(
        folds=outer.folds,
        repeats=outer.repeats,
        seed=outer.seed,
        images=images,
        split=split,
        interval=describe_interval(procedure.test_accuracy, state_resampling(outer, images), outer.dataset.has_groups),
        procedure=procedure,
        notes=tuple(shortage),
    )
    return rows, report


def make_rows(comparison: Comparison, nested_rows: Sequence[NestedRow], outer: OuterFolds) -> list[TableRow]:
    """Make the rows of a table, each compared with the best one on the judged images of the first repeat."""
    dataset = outer.pooled_dataset
    pooled = [pool_folds(row.by_fold, outer) for row in nested_rows]
    tests = compare_with_best([each.evaluation for each in pooled], dataset.y[dataset.test])
    data_notes = note_judged_classes(outer)
    rows = []
    for row, each, test in zip(nested_rows, pooled, tests, strict=True):
        notes = note_nested_row(row, each.evaluation, outer, comparison.request.class_weight)
        rows.append(
            make_table_row(
                each.evaluation,
                row.layer_set,
                comparison.positive,
                notes=notes,
                data_notes=data_notes,
                nested=each.nested,
                **test,
            )
        )
    return rows
