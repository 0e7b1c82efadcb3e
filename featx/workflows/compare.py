"""Compare layers and classifiers on cached features, each evaluated once on the held-out part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from featx.errors import MissingFeatures
from featx.evaluation.comparison import Comparison, open_comparisons
from featx.evaluation.evaluate import recall_finetuned
from featx.evaluation.notes import note_data, note_row
from featx.evaluation.result import Evaluation
from featx.evaluation.side_by_side import evaluate_side_by_side
from featx.evaluation.table_row import TableRow, compare_with_best, make_table_row
from featx.features.catalog import LayerSet
from featx.requests import CompareRequest
from featx.types import Progress


def compare_layer_sets(request: CompareRequest, progress: Progress | None = None) -> list[TableRow]:
    """Evaluate every classifier on every layer set that a request asks for.

    Parameters
    ----------
    request : CompareRequest
    progress : callable, optional
        Called with the number of evaluations done and to be done.

    Returns
    -------
    list of TableRow
        Layers in the base's order, classifiers as asked; other bases after the first, and fine-tuning at the end.

    Raises
    ------
    FeatxError
        If names are unknown, features are not cached or the data set cannot be used.
    """
    comparisons = open_comparisons(request)
    dataset = comparisons[0].dataset
    evaluated = evaluate_all(comparisons, progress)
    for comparison in comparisons:
        evaluated += [(None, evaluation) for evaluation in recall_finetuned(comparison)]
    if not evaluated:
        raise MissingFeatures(
            "there is no fine-tuned result for this base and these images yet. Run: featx finetune --help"
        )
    tests = compare_with_best([evaluation for _, evaluation in evaluated], dataset.y[dataset.test])
    positive = comparisons[0].positive
    data_notes = note_data(dataset)
    rows = []
    for (layer_set, evaluation), test in zip(evaluated, tests, strict=True):
        notes = note_row(evaluation, dataset, request.class_weight)
        rows.append(make_table_row(evaluation, layer_set, positive, notes=notes, data_notes=data_notes, **test))
    return rows


def evaluate_all(
    comparisons: Sequence[Comparison], progress: Progress | None
) -> list[tuple[LayerSet | None, Evaluation]]:
    """Evaluate the layer sets of all bases: pairs of layer set and evaluation, in the order of the table."""
    tasks = [(comparison, layer_set) for comparison in comparisons for layer_set in comparison.layer_sets]
    total = sum(len(comparison.classifiers) for comparison, _ in tasks)
    done = 0
    by_place: dict[int, list[Evaluation]] = {}
    # Closed at once when something stops this: its processes end with it.
    with closing(evaluate_side_by_side(tasks)) as results:
        for place, evaluations in results:
            by_place[place] = evaluations
            done += len(evaluations)
            if progress:
                progress(done, total)
    evaluated: list[tuple[LayerSet | None, Evaluation]] = []
    for place, (_, layer_set) in enumerate(tasks):
        evaluated += [(layer_set, evaluation) for evaluation in by_place[place]]
    return evaluated
