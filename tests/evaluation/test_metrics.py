from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    matthews_corrcoef,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from featx.evaluation.metrics import (
    adjust_by_holm,
    calibration_error,
    compute_figures,
    mcnemar,
    top_accuracy,
    wilson,
)


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (10, 10), (145, 153), (1, 2), (340, 360)])
def test_the_interval_is_scipys(hits: int, total: int) -> None:
    expected = binomtest(hits, total).proportion_ci(0.95, method="wilson")
    assert wilson(hits, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_more_images_make_a_narrower_interval() -> None:
    few, many = wilson(9, 10), wilson(900, 1000)
    assert many[1] - many[0] < few[1] - few[0]


def test_no_images_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one evaluated image"):
        wilson(0, 0)


def pair(n: int, seed: int, share: float = 0.8) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    first, second = np.random.default_rng(seed).random((2, n)) < [[0.8], [share]]
    return first, second


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [5, 40, 400])
def test_the_paired_test_is_scipys_binomial_test_of_the_rows_that_differ(n: int, seed: int) -> None:
    first, second = pair(n, seed, 0.7)
    only_first = int((first & ~second).sum())
    differing = only_first + int((second & ~first).sum())
    expected = binomtest(only_first, differing, 0.5).pvalue if differing else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_a_classifier_cannot_be_told_apart_from_itself() -> None:
    first, _ = pair(50, 0)
    assert mcnemar(first, first) == 1.0


def test_a_clear_difference_is_one() -> None:
    assert mcnemar(np.ones(20, bool), np.zeros(20, bool)) == pytest.approx(2 / 2**20)


def test_the_calibration_error_of_a_case_made_by_hand() -> None:
    # Bin (0.6, 0.667]: two rows that say 0.65, one right; bin (0.933, 1]: two rows that say 0.95 and 1, both right.
    confidence, right = np.array([0.65, 0.65, 0.95, 1.0]), np.array([True, False, True, True])
    assert calibration_error(confidence, right) == pytest.approx(0.5 * 0.15 + 0.5 * 0.025)


def test_the_edge_of_a_bin_belongs_to_the_bin_below_it() -> None:
    # 1/15 and a little less share the first bin, so their gaps of opposite sign cancel out.
    edge = np.array([1 / 15, 1 / 15 - 1e-9])
    assert calibration_error(edge, np.array([True, False])) == pytest.approx(0.5 - 1 / 15, abs=1e-8)
    assert calibration_error(np.array([0.0]), np.array([False])) == 0


def test_who_says_what_is_so_has_no_calibration_error() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(200_000)
    assert calibration_error(confidence, random.random(200_000) < confidence) < 0.01


def test_top_five_is_scikit_learns_and_only_given_for_ten_classes_or_more() -> None:
    random = np.random.default_rng(0)
    truth, shares = random.integers(0, 12, 100), random.dirichlet(np.ones(12), 100)
    assert top_accuracy(truth, shares) == pytest.approx(top_k_accuracy_score(truth, shares, k=5, labels=range(12)))
    assert top_accuracy(truth % 9, shares[:, :9]) is None


def test_a_tie_does_not_count_as_being_among_the_first_five() -> None:
    shares = np.zeros((1, 12))
    shares[0, 0] = 1
    assert top_accuracy(np.array([7]), shares) == 0


def test_holms_adjustment_of_a_case_made_by_hand() -> None:
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, each at least as large as the one before.
    assert adjust_by_holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert adjust_by_holm([0.6, 0.001, 0.7]) == pytest.approx([1.0, 0.003, 1.0])
    assert adjust_by_holm([0.2]) == [0.2]
    assert adjust_by_holm([]) == []


def test_holms_adjustment_keeps_the_order_and_never_makes_a_difference_more_certain() -> None:
    p_values = np.random.default_rng(0).random(50) ** 3
    adjusted = np.array(adjust_by_holm(p_values.tolist()))
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p_values)]) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_two_classes_are_scikit_learns_for_either_class(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = (random.random(80) < 0.2).astype(int)
    positive = np.clip(0.3 * truth + random.random(80) * 0.7, 0.01, 0.99).round(2)
    predicted = (positive > 0.5).astype(int)
    figures = compute_figures(truth, predicted, 2, np.stack([1 - positive, positive], axis=1))
    assert figures.matthews == pytest.approx(matthews_corrcoef(truth, predicted), abs=1e-6)
    for code in (0, 1):
        scores = positive if code else 1 - positive
        assert figures.recall[code] == pytest.approx(recall_score(truth, predicted, pos_label=code), abs=1e-6)
        assert figures.roc_auc[code] == pytest.approx(roc_auc_score(truth == code, scores), abs=1e-6)
        assert figures.average_precision[code] == pytest.approx(
            average_precision_score(truth == code, scores), abs=1e-6
        )


@pytest.mark.parametrize("seed", range(4))
def test_figures_of_more_classes_are_scikit_learns_one_against_the_rest(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.append(random.choice(5, 95, p=[0.6, 0.2, 0.1, 0.05, 0.05]), np.arange(5))
    probabilities = random.dirichlet(np.ones(5), 100)
    predicted = probabilities.argmax(axis=1)
    figures = compute_figures(truth, predicted, 5, probabilities)
    assert figures.recall == ()
    assert figures.matthews == pytest.approx(matthews_corrcoef(truth, predicted), abs=1e-6)
    assert figures.roc_auc == pytest.approx([roc_auc_score(truth, probabilities, multi_class="ovr")], abs=1e-6)
    one_hot = np.eye(5)[truth]
    assert figures.average_precision == pytest.approx([average_precision_score(one_hot, probabilities)], abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_figures_that_are_not_defined_are_none() -> None:
    truth = np.zeros(6, int)
    figures = compute_figures(truth, truth, 2, np.full((6, 2), 0.5))
    assert figures.matthews is None
    assert figures.recall == (1.0, None)
    assert figures.roc_auc == (None, None)
    assert figures.average_precision == (1.0, None)
    assert compute_figures(truth, truth, 2).roc_auc == ()


def test_classes_without_held_out_images_do_not_count_in_a_mean() -> None:
    random = np.random.default_rng(0)
    truth, probabilities = np.arange(60) % 3, random.dirichlet(np.ones(5), 60)
    figures = compute_figures(truth, truth, 5, probabilities)
    expected = np.mean([roc_auc_score(truth == code, probabilities[:, code]) for code in range(3)])
    assert figures.roc_auc == pytest.approx([expected], abs=1e-6)
