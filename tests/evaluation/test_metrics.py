from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score

from featx.evaluation.metrics import balanced_accuracy, calibration_error, macro_f1, mcnemar, top_accuracy, wilson


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


@pytest.mark.parametrize("seed", range(5))
def test_balanced_accuracy_and_macro_f1_are_scikit_learns(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.choice(5, 60, p=[0.6, 0.2, 0.1, 0.05, 0.05])
    predicted = np.where(random.random(60) < 0.6, truth, random.integers(0, 5, 60))
    assert balanced_accuracy(truth, predicted) == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))


def test_top_five_is_scikit_learns_and_only_given_for_ten_classes_or_more() -> None:
    random = np.random.default_rng(0)
    truth, shares = random.integers(0, 12, 100), random.dirichlet(np.ones(12), 100)
    assert top_accuracy(truth, shares) == pytest.approx(top_k_accuracy_score(truth, shares, k=5, labels=range(12)))
    assert top_accuracy(truth % 9, shares[:, :9]) is None


def test_a_tie_does_not_count_as_being_among_the_first_five() -> None:
    shares = np.zeros((1, 12))
    shares[0, 0] = 1
    assert top_accuracy(np.array([7]), shares) == 0
