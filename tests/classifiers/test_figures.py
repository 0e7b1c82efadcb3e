"""Figures are scikit-learn's, ties and rare classes included, and a criterion rates by the one it names."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import sklearn.metrics
from scipy.special import softmax
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, roc_auc_score

from featx.classifiers.figures import Criterion, balanced_accuracy, macro_f1, rank_class, rank_classes
from featx.linear.weighting import ValWeights
from featx.requests import SelectedFigure

CLASSES = np.arange(4)


@pytest.mark.parametrize("seed", range(5))
def test_balanced_accuracy_and_macro_f1_are_scikit_learns(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.choice(5, 60, p=[0.6, 0.2, 0.1, 0.05, 0.05])
    predicted = np.where(random.random(60) < 0.6, truth, random.integers(0, 5, 60))
    assert balanced_accuracy(truth, predicted) == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))


@pytest.mark.parametrize("digits", [1, 2, 12], ids=["many ties", "some ties", "none"])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
@pytest.mark.parametrize("seed", range(3))
def test_ranking_a_class_is_scikit_learns(digits: int, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    is_of_class = np.append(random.random(150) < share, [True, False])
    scores = (random.random(152) + 0.3 * is_of_class).round(digits)
    area, precision = rank_class(is_of_class, scores)
    assert area == pytest.approx(roc_auc_score(is_of_class, scores), abs=1e-12)
    assert precision == pytest.approx(average_precision_score(is_of_class, scores), abs=1e-12)


def test_what_cannot_be_ranked_is_nan() -> None:
    scores = np.array([0.1, 0.2, 0.3])
    assert np.isnan(rank_class(np.zeros(3, bool), scores)).all()
    area, precision = rank_class(np.ones(3, bool), scores)
    assert np.isnan(area)
    assert precision == 1


def test_scores_that_are_all_equal_rank_by_chance() -> None:
    truth = np.arange(40) % 4
    ranking = rank_classes(truth, np.full((40, 4), 0.25))
    assert ranking.roc_auc == pytest.approx(0.5)
    assert ranking.average_precision == pytest.approx(0.25)


def make_scores(classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    truth = random.choice(classes, 120, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    return truth, (1.5 * np.eye(classes)[truth] + random.normal(size=(120, classes))).T


def expected_figure(figure: str, truth: np.ndarray, probabilities: np.ndarray) -> float:
    predicted = probabilities.argmax(axis=1)
    one_hot = np.eye(probabilities.shape[1])[truth]
    figures: dict[str, Any] = {
        "accuracy": lambda: (predicted == truth).mean(),
        "balanced_accuracy": lambda: balanced_accuracy_score(truth, predicted),
        "macro_f1": lambda: f1_score(truth, predicted, average="macro"),
        "roc_auc": lambda: roc_auc_score(truth, probabilities, multi_class="ovr"),
        "log_loss": lambda: -sklearn.metrics.log_loss(truth, probabilities),
        "average_precision": lambda: average_precision_score(one_hot, probabilities),
    }
    return float(figures[figure]())


@pytest.mark.parametrize("figure", get_args(SelectedFigure))
def test_a_criterion_rates_probabilities_and_scores_by_its_figure(figure: SelectedFigure) -> None:
    truth, scores = make_scores()
    probabilities = softmax(scores.T, axis=1)
    expected = expected_figure(figure, truth, probabilities)
    criterion = Criterion(figure)
    assert criterion.rate(truth, CLASSES, probabilities) == pytest.approx(expected)
    assert criterion.rate_scores("logreg", scores, CLASSES, truth) == pytest.approx(expected)
    assert criterion.to_figure(expected) == (abs(expected))
    assert criterion.to_figure(None) is None


def test_margins_are_rated_whatever_their_unit() -> None:
    truth, scores = make_scores()
    criterion = Criterion("log_loss")
    rates = [criterion.rate_scores("svm", factor * scores, CLASSES, truth) for factor in (0.1, 1.0, 7.0)]
    assert rates == pytest.approx(3 * [rates[0]], rel=1e-4)


def test_scores_of_two_classes_are_one_row_and_either_class_may_be_positive() -> None:
    truth, _ = make_scores(2)
    score = truth + np.random.default_rng(1).normal(size=120)
    for positive in (0, 1):
        rate = Criterion("average_precision", positive).rate_scores("logreg", score[None], np.arange(2), truth)
        sign = 1 if positive else -1
        assert rate == pytest.approx(average_precision_score(truth == positive, sign * score))


def test_rows_of_classes_that_were_not_trained_on_are_left_out_of_figures_of_probabilities() -> None:
    truth, scores = make_scores()
    known = truth != 3
    rate = Criterion("log_loss").rate_scores("logreg", scores[:3], np.arange(3), truth)
    assert rate == pytest.approx(expected_figure("log_loss", truth[known], softmax(scores[:3, known].T, axis=1)))
    assert np.isnan(Criterion("roc_auc").rate_scores("svm", scores[:2], np.array([7, 8]), truth))


@pytest.mark.parametrize("kind", ["logreg", "svm"])
@pytest.mark.parametrize("figure", get_args(SelectedFigure))
def test_a_row_of_weight_two_is_rated_as_if_it_were_there_twice_and_zero_as_if_it_were_not(
    figure: SelectedFigure, kind: str
) -> None:
    truth, scores = make_scores()
    counts = np.where(truth == 3, 0, np.arange(120) % 3)
    weights = counts.astype(float)
    rate = Criterion(figure).rate_scores(kind, scores, CLASSES, truth, ValWeights(weights, weights))
    repeated = Criterion(figure).rate_scores(kind, scores.repeat(counts, axis=1), CLASSES, truth.repeat(counts))
    assert rate == pytest.approx(repeated, rel=1e-4)
    probabilities = softmax(scores.T, axis=1)
    assert Criterion(figure).rate(truth, CLASSES, probabilities, weights) == pytest.approx(
        Criterion(figure).rate(truth.repeat(counts), CLASSES, probabilities.repeat(counts, axis=0))
    )
    assert np.isnan(Criterion(figure).rate(truth, CLASSES, probabilities, np.zeros(120)))


def test_weighted_ranking_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    is_of_class = random.random(150) < 0.3
    scores = (random.random(150) + 0.3 * is_of_class).round(1)
    weights = random.random(150) + 0.1
    area, precision = rank_class(is_of_class, scores, weights)
    assert area == pytest.approx(roc_auc_score(is_of_class, scores, sample_weight=weights))
    assert precision == pytest.approx(average_precision_score(is_of_class, scores, sample_weight=weights))
