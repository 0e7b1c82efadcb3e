"""Folds are pooled image by image where that is possible, and averaged where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef, recall_score

from featx.evaluation.metrics import calibration_error
from featx.evaluation.nested.evaluations import ByFold
from featx.evaluation.nested.folds import OuterFolds, make_outer_folds
from featx.evaluation.nested.interval import Resampling, corrected_interval
from featx.evaluation.nested.pooling import pool_folds
from featx.evaluation.protocol import Subject, Training, make_evaluation
from tests.evaluation.nested.test_folds import make_dataset

SUBJECT = Subject("tiny", "layer1", "avg", "svm", 32)


def make_folds(outer: OuterFolds, seed: int = 0) -> tuple[ByFold, list[np.ndarray]]:
    """Evaluations of random scores, and the scores of all images by repeat."""
    rng = np.random.default_rng(seed)
    y = outer.dataset.y
    by_fold: ByFold = []
    of_repeats = []
    for repeat in range(outer.repeats):
        probabilities = rng.dirichlet(np.ones(len(outer.dataset.classes)), len(y))
        probabilities[np.arange(len(y)), y] += 0.4
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        of_repeats.append(probabilities)
        by_fold.append([])
        for number, mask in enumerate(outer.list_masks(repeat)):
            training = Training(int((~mask).sum()), 0.5 + 0.1 * number, 1.5, {"C": 10.0**number})
            output = (probabilities[mask].argmax(axis=1), probabilities[mask])
            by_fold[repeat].append(make_evaluation(SUBJECT, training, y[mask], output, None))
    return by_fold, of_repeats


@pytest.mark.parametrize("classes", [2, 3])
def test_figures_of_labels_are_those_of_all_judged_images(classes: int) -> None:
    outer = make_outer_folds(make_dataset([row % classes for row in range(61)]), 5, 1, 42)
    by_fold, (probabilities,) = make_folds(outer)
    pooled = pool_folds(by_fold, outer)
    result = pooled.evaluation.result
    truth = outer.dataset.y
    predicted = probabilities.argmax(axis=1)
    assert np.array_equal(pooled.evaluation.predictions.classes, predicted), "in the order of the images"
    accuracy = (predicted == truth).mean()
    assert result.test_accuracy == pytest.approx(accuracy, abs=1e-6)
    assert (result.ci_low, result.ci_high) == pytest.approx(
        corrected_interval(accuracy, Resampling(61, 31 / 61 if classes == 2 else 21 / 61, 5)), abs=1e-6
    )
    assert result.n_test == 61
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted), abs=1e-6)
    assert result.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"), abs=1e-6)
    confidence = probabilities.max(axis=1).round(6)
    assert result.calibration_error == pytest.approx(calibration_error(confidence, predicted == truth), abs=1e-6)
    figures = pooled.evaluation.figures
    assert figures is not None
    assert figures.matthews == pytest.approx(matthews_corrcoef(truth, predicted), abs=1e-6)
    if classes == 2:
        assert figures.recall == pytest.approx(recall_score(truth, predicted, average=None), abs=1e-6)


def test_figures_of_ranking_are_means_over_the_folds_that_define_them() -> None:
    outer = make_outer_folds(make_dataset([row % 2 for row in range(60)]), 5, 1, 42)
    by_fold, _ = make_folds(outer)
    mean = np.mean([evaluation.figures.roc_auc for evaluation in by_fold[0] if evaluation.figures], axis=0)
    figures = pool_folds(by_fold, outer).evaluation.figures
    assert figures is not None
    assert figures.roc_auc == pytest.approx(mean, abs=1e-6)
    # A fold of one class has none.
    first = by_fold[0][0]
    assert first.figures is not None
    by_fold[0][0] = replace(first, figures=replace(first.figures, roc_auc=(None, None)))
    others = np.mean([each.figures.roc_auc for each in by_fold[0][1:] if each.figures], axis=0)
    figures = pool_folds(by_fold, outer).evaluation.figures
    assert figures is not None
    assert figures.roc_auc == pytest.approx(others, abs=1e-6)


def test_top_five_accuracy_counts_images_not_folds() -> None:
    outer = make_outer_folds(make_dataset([row % 10 for row in range(83)]), 5, 1, 42)
    by_fold, (probabilities,) = make_folds(outer)
    truth = outer.dataset.y
    of_truth = probabilities[np.arange(83), truth]
    hits = (probabilities >= of_truth[:, None]).sum(axis=1) <= 5
    assert pool_folds(by_fold, outer).evaluation.result.top5_accuracy == pytest.approx(hits.mean(), abs=1e-5)


def test_repeats_are_averaged_and_their_spread_is_told() -> None:
    outer = make_outer_folds(make_dataset([row % 3 for row in range(60)]), 5, 4, 42)
    by_fold, of_repeats = make_folds(outer)
    pooled = pool_folds(by_fold, outer)
    accuracies = [float((scores.argmax(axis=1) == outer.dataset.y).mean()) for scores in of_repeats]
    assert pooled.nested.repeat_accuracies == pytest.approx(accuracies, abs=1e-6)
    assert pooled.evaluation.result.test_accuracy == pytest.approx(np.mean(accuracies), abs=1e-6)
    assert pooled.nested.spread == pytest.approx(np.std(accuracies, ddof=1), abs=1e-6)
    assert np.shape(pooled.nested.fold_accuracies) == (4, 5)
    assert pool_folds(by_fold[:1], replace(outer, fold_of_row=outer.fold_of_row[:1])).nested.spread is None


def test_what_was_chosen_inside_is_kept_fold_by_fold() -> None:
    outer = make_outer_folds(make_dataset([row % 3 for row in range(60)]), 5, 1, 42)
    by_fold, _ = make_folds(outer)
    pooled = pool_folds(by_fold, outer)
    assert [params["C"] for params in pooled.nested.fold_params[0]] == [1, 10, 100, 1000, 10000]
    result = pooled.evaluation.result
    assert result.params == {"C": 100}, "the middle one"
    assert result.cv_accuracy == pytest.approx(0.7)
    assert result.fit_seconds == pytest.approx(7.5), "of all folds together"
    assert result.n_train == 48


def test_images_that_are_never_judged_are_no_part_of_any_figure() -> None:
    outer = make_outer_folds(make_dataset([0, 1] * 10 + [2]), 5, 1, 42)
    by_fold, (probabilities,) = make_folds(outer)
    pooled = pool_folds(by_fold, outer)
    right = probabilities[:20].argmax(axis=1) == outer.dataset.y[:20]
    assert pooled.evaluation.result.n_test == 20
    assert pooled.evaluation.result.test_accuracy == pytest.approx(right.mean(), abs=1e-6)
    assert (pooled.evaluation.predictions.classes >= 0).all()
