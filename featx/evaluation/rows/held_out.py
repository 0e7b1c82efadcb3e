"""The rows of a table that one held-out part makes: compared with the best of them, and with what is to be noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from featx.evaluation.comparison import Comparison
from featx.evaluation.nested.notes import hint_at_nested
from featx.evaluation.notes import note_data, note_row
from featx.evaluation.result import Evaluation
from featx.evaluation.table_row import TableRow, compare_with_best, make_table_row
from featx.features.catalog import LayerSet

EvaluatedLayerSet = tuple[LayerSet | None, Evaluation]
"""An evaluation, and the layer set that it is of; None for fine-tuning, which has none of its own."""


def make_table_rows(comparison: Comparison, evaluated: Sequence[EvaluatedLayerSet]) -> list[TableRow]:
    """Make the rows of a table of evaluations on the same held-out part.

    Parameters
    ----------
    comparison : Comparison
        Any of those that the evaluations belong to: they share the data set and the request.
    evaluated : sequence of (LayerSet or None, Evaluation)
        One at least.

    Returns
    -------
    list of TableRow
        In the order given.
    """
    dataset = comparison.dataset
    tests = compare_with_best([evaluation for _, evaluation in evaluated], dataset.y[dataset.test])
    data_notes = note_data(dataset)
    rows = []
    for (layer_set, evaluation), test in zip(evaluated, tests, strict=True):
        notes = note_row(evaluation, dataset, comparison.request.class_weight)
        row = make_table_row(evaluation, layer_set, comparison.positive, notes=notes, data_notes=data_notes, **test)
        rows.append(row)
    hints = hint_at_nested(rows, dataset)
    return [replace(row, hints=hints) for row in rows]
