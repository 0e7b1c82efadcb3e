"""Every evaluation that earlier runs left for a data set, and those that a report asks for beyond them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from featx.classifiers.registry import DEFAULT_CLASSIFIERS
from featx.evaluation.comparison import Comparison
from featx.evaluation.evaluate import recall, recall_finetuned
from featx.evaluation.result import Evaluation
from featx.evaluation.side_by_side import evaluate_tasks
from featx.features.catalog import LayerSet
from featx.log import note
from featx.types import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """An evaluation, and what it is of.

    Attributes
    ----------
    comparison : Comparison
    layer_set : LayerSet or None
        None of fine-tuning, which has none of its own.
    evaluation : Evaluation
    """

    comparison: Comparison
    layer_set: LayerSet | None
    evaluation: Evaluation


def recall_all(comparisons: Sequence[Comparison]) -> list[Found]:
    """Find what earlier runs left of the layer sets and classifiers, in the order of the table, fine-tuning last."""
    found: list[Found] = []
    for comparison in comparisons:
        for layer_set in comparison.layer_sets:
            recalled = recall(comparison, layer_set)
            found += [Found(comparison, layer_set, evaluation) for evaluation in recalled.values()]
    for comparison in comparisons:
        found += [Found(comparison, None, evaluation) for evaluation in recall_finetuned(comparison)]
    return found


def evaluate_all(comparisons: Sequence[Comparison], progress: Progress | None = None) -> list[Found]:
    """Evaluate every layer set with every classifier, training those of which no earlier run left a result."""
    tasks = [(comparison, layer_set) for comparison in comparisons for layer_set in comparison.layer_sets]
    found: list[Found] = []
    for (comparison, layer_set), evaluations in zip(tasks, evaluate_tasks(tasks, progress), strict=True):
        found += [Found(comparison, layer_set, evaluation) for evaluation in evaluations]
    for comparison in comparisons:
        found += [Found(comparison, None, evaluation) for evaluation in recall_finetuned(comparison)]
    return found


def evaluate_usual(comparisons: Sequence[Comparison], progress: Progress | None = None) -> list[Found]:
    """Evaluate the classifiers that are compared where none is named, and say so."""
    note(log, "no result is there yet for these images and this base: the usual classifiers are evaluated")
    usual = [replace(comparison, classifiers=list(DEFAULT_CLASSIFIERS)) for comparison in comparisons]
    return evaluate_all(usual, progress)


def list_not_evaluated(comparison: Comparison, found: Sequence[Found]) -> list[LayerSet]:
    """List the cached layers of a base of which no result is there."""
    evaluated = {each.layer_set.every_key for each in found if each.layer_set is not None}
    return [layer_set for layer_set in comparison.layer_sets if layer_set.every_key not in evaluated]
