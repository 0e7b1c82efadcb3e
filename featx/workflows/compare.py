"""Compare layers and classifiers on cached features: on one held-out part, or by nested cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from featx.errors import MissingFeatures
from featx.evaluation.comparison import Comparison, open_comparisons
from featx.evaluation.evaluate import recall_finetuned
from featx.evaluation.few_labels.cells import plan_curves
from featx.evaluation.few_labels.curves import trace_curves
from featx.evaluation.few_labels.figures import FewLabels
from featx.evaluation.nested.figures import NestedReport
from featx.evaluation.nested.notes import note_tuned
from featx.evaluation.nested.report import nest
from featx.evaluation.result import Evaluation
from featx.evaluation.rows.held_out import make_table_rows
from featx.evaluation.side_by_side import evaluate_tasks
from featx.evaluation.table_row import TableRow
from featx.features.cached_layers import list_depths
from featx.features.catalog import LayerSet
from featx.requests import CompareRequest
from featx.types import Progress


@dataclass(frozen=True)
class ComparisonReport:
    """What a comparison gives.

    Attributes
    ----------
    rows : list of TableRow
    nested : NestedReport or None
        None where one held-out part was read.
    few_labels : FewLabels or None
        Curves over the number of labelled images, where they were asked for.
    depths : mapping of (base, layer) to int
        Place in its base of each single layer among the rows.
    """

    rows: list[TableRow]
    nested: NestedReport | None = None
    few_labels: FewLabels | None = None
    depths: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def further(self) -> dict[str, Any]:
        """Give plain values for JSON of all that is known beyond the rows; empty where there is nothing."""
        if self.nested:
            return self.nested.to_dict()
        return self.few_labels.to_dict() if self.few_labels else {}


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
    return compare_rows(request, progress).rows


def compare_rows(request: CompareRequest, progress: Progress | None = None) -> ComparisonReport:
    """Evaluate what `compare_layer_sets` does, and say of nested cross-validation what no single row can.

    Raises
    ------
    FeatxError
        As `compare_layer_sets` does; also if the images cannot be divided into outer folds.
    """
    comparisons = open_comparisons(request)
    return replace(compare_opened(request, comparisons, progress), depths=list_depths_of_rows(comparisons))


def list_depths_of_rows(comparisons: Sequence[Comparison]) -> dict[tuple[str, str], int]:
    """Give the place in its base of each layer that is compared by itself, by base and name."""
    depths = {}
    for comparison in comparisons:
        of_layer = list_depths(comparison.base)
        for layer_set in comparison.layer_sets:
            if layer_set.name in of_layer:
                depths[comparison.base.id.architecture, layer_set.name] = of_layer[layer_set.name]
    return depths


def compare_opened(
    request: CompareRequest, comparisons: Sequence[Comparison], progress: Progress | None
) -> ComparisonReport:
    """Evaluate what a request asks for of what it opened."""
    if request.shots:
        return compare_few_labels(request, comparisons, progress)
    if request.nested is None:
        return ComparisonReport(compare_on_held_out(request, comparisons, progress))
    rows, report = nest(comparisons, progress)
    if any(recall_finetuned(comparison) for comparison in comparisons):
        report = replace(report, notes=(*report.notes, note_tuned()))
    return ComparisonReport(rows, report)


def compare_few_labels(
    request: CompareRequest, comparisons: Sequence[Comparison], progress: Progress | None
) -> ComparisonReport:
    """Evaluate every row with all labels, and then with few.

    Raises
    ------
    RequestError
        If none of the classifiers is trained on few labels, or no class has as many images as are to be labelled.
    """
    # Before anything is fitted.
    plan = plan_curves(comparisons[0])
    evaluations = [len(comparison.classifiers) for comparison in comparisons for _ in comparison.layer_sets]
    usual = sum(evaluations)
    total = usual + len(evaluations) * plan.fits
    rows = compare_on_held_out(request, comparisons, progress and (lambda done, _: progress(done, total)))
    # Fine-tuned rows come last, and belong to no layer set.
    remaining = iter(rows)
    whole = [{row.clf: row.test_accuracy for row in islice(remaining, count)} for count in evaluations]
    few_labels = trace_curves(comparisons, whole, progress and (lambda done, _: progress(usual + done, total)))
    return ComparisonReport(rows, few_labels=few_labels)


def compare_on_held_out(
    request: CompareRequest, comparisons: Sequence[Comparison], progress: Progress | None
) -> list[TableRow]:
    """Evaluate every row once on the held-out part."""
    evaluated = evaluate_all(comparisons, progress)
    for comparison in comparisons:
        evaluated += [(None, evaluation) for evaluation in recall_finetuned(comparison)]
    if not evaluated:
        raise MissingFeatures(
            "there is no fine-tuned result for this base and these images yet. Run: featx finetune --help"
        )
    return make_table_rows(comparisons[0], evaluated)


def evaluate_all(
    comparisons: Sequence[Comparison], progress: Progress | None
) -> list[tuple[LayerSet | None, Evaluation]]:
    """Evaluate the layer sets of all bases: pairs of layer set and evaluation, in the order of the table."""
    tasks = [(comparison, layer_set) for comparison in comparisons for layer_set in comparison.layer_sets]
    evaluated: list[tuple[LayerSet | None, Evaluation]] = []
    for (_, layer_set), evaluations in zip(tasks, evaluate_tasks(tasks, progress), strict=True):
        evaluated += [(layer_set, evaluation) for evaluation in evaluations]
    return evaluated
