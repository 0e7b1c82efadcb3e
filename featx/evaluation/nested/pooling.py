"""Pool the outer folds of a row to one evaluation, whose figures are those of all judged images.

Labels and confidences are pooled: accuracy, balanced accuracy, macro F1, calibration error, Matthews correlation and
recall are computed on all images of a repeat at once, and top-5 accuracy is the same share by its folds. ROC AUC and
average precision are means over the folds that define them, since scores of different models have no common order
(Airola et al., "An experimental comparison of cross-validation techniques for estimating the area under the ROC curve",
2011). All figures are means over the repeats.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.figures import balanced_accuracy, macro_f1
from featx.evaluation.metrics import calibration_error, compute_figures
from featx.evaluation.nested.evaluations import ByFold
from featx.evaluation.nested.figures import NestedFigures
from featx.evaluation.nested.folds import OuterFolds, rate_majority
from featx.evaluation.nested.interval import (
    Resampling,
    correct_by_nadeau_bengio,
    corrected_interval,
    count_independent,
)
from featx.evaluation.result import UNREADABLE, Evaluation, Figures, HeldOutPredictions, Result
from featx.types import Codes

DIGITS = 6
"""Digits of a figure that are kept, as in results of one held-out part."""


@dataclass(frozen=True)
class Pooled:
    """A row of nested cross-validation.

    Attributes
    ----------
    evaluation : Evaluation
        Figures are means over the repeats; predictions are those of the first one, in the order of its judged images.
    nested : NestedFigures
    """

    evaluation: Evaluation
    nested: NestedFigures


@dataclass(frozen=True)
class RepeatScores:
    """Figures of all images that one repeat judges; see `Result`."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    calibration_error: float


def pool_folds(by_fold: ByFold, outer: OuterFolds) -> Pooled:
    """Pool the evaluations of one row in all outer folds.

    Parameters
    ----------
    by_fold : list of lists of Evaluation
        For each repeat, one for each fold.
    outer : OuterFolds
    """
    dataset = outer.dataset
    predictions = [pool_predictions(folds, outer, repeat) for repeat, folds in enumerate(by_fold)]
    truths = [dataset.y[outer.judged(repeat)] for repeat in range(outer.repeats)]
    scores = [score_repeat(*pair) for pair in zip(truths, predictions, strict=True)]
    figures = []
    for folds, truth, predicted in zip(by_fold, truths, predictions, strict=True):
        of_labels = compute_figures(truth, predicted.classes, len(dataset.classes))
        figures.append(add_mean_rankings(of_labels, folds))
    evaluations = [evaluation for folds in by_fold for evaluation in folds]
    result = average_results([evaluation.result for evaluation in evaluations], scores)
    independent = count_independent(predictions[0].classes == truths[0], dataset.groups[outer.judged()])
    accuracy = statistics.fmean(score.accuracy for score in scores)
    low, high = corrected_interval(accuracy, state_resampling(outer, independent))
    result = replace(result, n_test=len(truths[0]), ci_low=round(low, DIGITS), ci_high=round(high, DIGITS))
    evaluation = Evaluation(
        result,
        predictions[0],
        recalled=all(evaluation.recalled for evaluation in evaluations),
        degenerate=next((evaluation.degenerate for evaluation in evaluations if evaluation.degenerate), None),
        figures=average_figures(figures),
    )
    return Pooled(evaluation, detail_folds(by_fold, scores, outer))


def state_resampling(outer: OuterFolds, images: float) -> Resampling:
    """State how images were judged, for the interval; `images` is what they count as."""
    return Resampling(images, rate_majority(outer.dataset), outer.folds, outer.repeats)


def pool_predictions(folds: Sequence[Evaluation], outer: OuterFolds, repeat: int) -> HeldOutPredictions:
    """Put what the folds of a repeat predict into the order of the images that are judged."""
    classes = np.full(len(outer.dataset.y), UNREADABLE)
    confidence = np.zeros(len(classes))
    for evaluation, mask in zip(folds, outer.list_masks(repeat), strict=True):
        classes[mask] = evaluation.predictions.classes
        confidence[mask] = evaluation.predictions.confidence
    judged = outer.judged(repeat)
    return HeldOutPredictions(classes[judged], confidence[judged])


def score_repeat(truth: Codes, predictions: HeldOutPredictions) -> RepeatScores:
    """Score the pooled predictions of one repeat."""
    right: NDArray[np.bool_] = predictions.classes == truth
    return RepeatScores(
        float(right.mean()),
        balanced_accuracy(truth, predictions.classes),
        macro_f1(truth, predictions.classes),
        calibration_error(predictions.confidence, right),
    )


def average_results(results: Sequence[Result], scores: Sequence[RepeatScores]) -> Result:
    """Average the results of all folds but for the interval; what is the same in all of them is taken from the first.

    Parameters
    ----------
    results : sequence of Result
        Of all folds of all repeats. Seconds are added up, hyper-parameters are the middle ones of all folds.
    scores : sequence of RepeatScores
    """
    return replace(
        results[0],
        n_train=round(statistics.fmean(result.n_train for result in results)),
        cv_accuracy=average(result.cv_accuracy for result in results) or 0.0,
        cv_figure=average(result.cv_figure for result in results),
        test_accuracy=average(score.accuracy for score in scores) or 0.0,
        macro_f1=average(score.macro_f1 for score in scores) or 0.0,
        balanced_accuracy=average(score.balanced_accuracy for score in scores) or 0.0,
        calibration_error=average(score.calibration_error for score in scores) or 0.0,
        top5_accuracy=average_top5(results),
        fit_seconds=round(sum(result.fit_seconds for result in results), 3),
        params=take_middle_params([result.params for result in results]),
    )


def average(values: Iterable[float | None]) -> float | None:
    """Average the values that are defined, to six digits; None where none is."""
    defined = [value for value in values if value is not None]
    return round(statistics.fmean(defined), DIGITS) if defined else None


def average_top5(results: Sequence[Result]) -> float | None:
    """Average top-5 accuracy over images: folds count by how many they judge."""
    if any(result.top5_accuracy is None for result in results):
        return None
    hits = sum((result.top5_accuracy or 0.0) * result.n_test for result in results)
    return round(hits / sum(result.n_test for result in results), DIGITS)


def take_middle_params(params: Sequence[dict[str, float]]) -> dict[str, float]:
    """Take the middle value of each hyper-parameter that all folds have: one that was chosen, the lower of two."""
    shared = [name for name in params[0] if all(name in of_fold for of_fold in params)]
    return {name: statistics.median_low([of_fold[name] for of_fold in params]) for name in shared}


def add_mean_rankings(of_labels: Figures, folds: Sequence[Evaluation]) -> Figures:
    """Add the figures of ranking, averaged over the folds of a repeat, to those of its pooled labels."""
    of_folds = average_figures([evaluation.figures for evaluation in folds if evaluation.figures is not None])
    if of_folds is None:
        return of_labels
    return replace(of_labels, roc_auc=of_folds.roc_auc, average_precision=of_folds.average_precision)


def average_figures(figures: Sequence[Figures]) -> Figures | None:
    """Average figures, each over those that define it; None where there are none."""
    if not figures:
        return None
    return Figures(
        average(each.matthews for each in figures),
        average_each([each.recall for each in figures]),
        average_each([each.roc_auc for each in figures]),
        average_each([each.average_precision for each in figures]),
    )


def average_each(values: Sequence[tuple[float | None, ...]]) -> tuple[float | None, ...]:
    """Average tuples of figures place by place; empty where any is, since then the figure was not kept everywhere."""
    if not all(values):
        return ()
    return tuple(average(of_place) for of_place in zip(*values, strict=True))


def detail_folds(by_fold: ByFold, scores: Sequence[RepeatScores], outer: OuterFolds) -> NestedFigures:
    """List accuracies by repeat and by fold, and how far the repeats lie apart."""
    accuracies = [score.accuracy for score in scores]
    of_folds = [each.result.test_accuracy for folds in by_fold for each in folds]
    usual = correct_by_nadeau_bengio(of_folds, outer.folds)
    return NestedFigures(
        folds=outer.folds,
        repeats=outer.repeats,
        repeat_accuracies=tuple(round(accuracy, DIGITS) for accuracy in accuracies),
        fold_accuracies=tuple(tuple(each.result.test_accuracy for each in folds) for folds in by_fold),
        spread=round(statistics.stdev(accuracies), DIGITS) if len(accuracies) > 1 else None,
        nadeau_bengio=usual and (round(usual[0], DIGITS), round(usual[1], DIGITS)),
        fold_params=tuple(tuple(each.result.params for each in folds) for folds in by_fold),
    )
