"""The interval: where it comes from, what it becomes, and that it covers what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from featx.evaluation.metrics import wilson
from featx.evaluation.nested.interval import (
    LEAST_OF_GAIN,
    MOST_OF_GAIN,
    Resampling,
    correct_by_nadeau_bengio,
    corrected_interval,
    count_independent,
    describe_interval,
    inflate_variance,
)


def test_the_variance_has_its_three_terms() -> None:
    hundred = Resampling(100, 0.5, 5)
    assert inflate_variance(0.5, hundred) == pytest.approx(1 + 2 / math.pi)
    density = scipy.stats.norm.pdf(scipy.stats.norm.ppf(0.8))
    assert inflate_variance(0.8, hundred) == pytest.approx(1 + density**2 / 0.16 + 1 / 4)
    assert inflate_variance(0.0, hundred) == inflate_variance(1.0, hundred) == 1
    # Repeats average a part of it away, however many there are.
    endless = Resampling(100, 0.5, 5, 10**9)
    assert inflate_variance(0.5, endless) == pytest.approx(2 / math.pi * (math.asin(0.8) + 0.8))
    assert inflate_variance(0.8, endless) == pytest.approx(1 + 0.8 * density**2 / 0.16 + 1 / 4)


@pytest.mark.parametrize("labels", ["shuffled", "learnt"])
def test_margins_of_a_sum_of_similarities_have_that_variance(labels: str) -> None:
    """Judge by the nearer mean, as the simplest linear classifier does, in leave-one-out."""
    rng = np.random.default_rng(0)
    n = 60
    accuracies = []
    for _ in range(4000):
        X = rng.standard_normal((n, 40))
        y = np.repeat([-1.0, 1.0], n // 2)
        if labels == "learnt":
            X[:, 0] += 0.6 * y
        similarities = X @ X.T
        np.fill_diagonal(similarities, 0)
        accuracies.append((y * (similarities @ y) > 0).mean())
    p = float(np.mean(accuracies))
    assert p == pytest.approx(0.5 if labels == "shuffled" else 0.65, abs=0.06)
    ratio = np.var(accuracies) / (p * (1 - p) / n)
    tolerance = 0.15 if labels == "shuffled" else 0.3
    # Beside the accuracy of just these models: whatever is shipped is another matter.
    assert ratio == pytest.approx(inflate_variance(p, Resampling(n, 0.5, n)), abs=tolerance)


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_it_is_wider_than_wilsons_and_narrower_with_more_images_and_repeats(accuracy: float) -> None:
    low, high = corrected_interval(accuracy, Resampling(100, 0.5, 5))
    plain = wilson(round(100 * accuracy), 100)
    assert 0 <= low <= accuracy <= high <= 1
    assert low <= plain[0] + 1e-9
    assert high >= plain[1] - 1e-9
    more = corrected_interval(accuracy, Resampling(400, 0.5, 5))
    assert more[1] - more[0] < high - low
    repeated = corrected_interval(accuracy, Resampling(100, 0.5, 5, 10))
    assert repeated[1] - repeated[0] <= high - low


def test_a_bound_is_where_the_test_turns() -> None:
    resampling = Resampling(100, 1 / 3, 5, 2)
    for moved, share in zip(corrected_interval(0.8, resampling), (LEAST_OF_GAIN, MOST_OF_GAIN), strict=True):
        # What a bound b has on top solves b + share * (b - c) / (1 - c) * (1 - b) / 5 = moved.
        learnt, wrong = np.polynomial.Polynomial([-0.5, 1.5]), np.polynomial.Polynomial([1, -1])
        equation = np.polynomial.Polynomial([-moved, 1]) + share * learnt * wrong / 5
        (bound,) = [root for root in equation.roots() if 0 <= root <= moved]
        deviation = math.sqrt(bound * (1 - bound) / 100 * inflate_variance(bound, resampling))
        assert abs(0.8 - bound) / deviation == pytest.approx(scipy.stats.norm.ppf(0.975), abs=1e-6)


@pytest.mark.parametrize("images", [100, 10_000, 10**9])
def test_the_interval_holds_the_accuracy_however_many_images_there_are(images: int) -> None:
    low, high = corrected_interval(0.8, Resampling(images, 0.5, 5))
    assert low <= 0.8 < high


def test_the_truth_of_the_model_that_is_shipped_is_covered() -> None:
    """A strong rule, which more images serve: Wilson's interval with the variance alone covers 91 % here."""
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(600):
        rule = rng.standard_normal(20) * (np.arange(20) < 5)
        X = rng.standard_normal((2100, 20))
        y = np.where(X @ rule + 0.1 * rng.standard_normal(2100) > 0, 1.0, -1.0)
        fold = rng.permutation(100) % 5
        right = 0
        for number in range(5):
            weights = fit_ridge(X[:100][fold != number], y[:100][fold != number])
            right += int((X[:100][fold == number] @ weights * y[:100][fold == number] > 0).sum())
        truth = float((X[100:] @ fit_ridge(X[:100], y[:100]) * y[100:] > 0).mean())
        low, high = corrected_interval(right / 100, Resampling(100, 0.5, 5))
        covered.append(low <= truth <= high)
    assert 0.93 <= np.mean(covered) <= 0.98


def fit_ridge(X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit ridge regression with a penalty of 1; X is (n, d), y is (n,)."""
    weights: NDArray[np.float64] = np.linalg.solve(X.T @ X + np.eye(X.shape[1]), X.T @ y)
    return weights


def test_an_interval_needs_images() -> None:
    with pytest.raises(ValueError, match="at least one judged image"):
        corrected_interval(0.5, Resampling(0, 0.5, 5))


def test_nadeau_and_bengios_interval_is_theirs() -> None:
    accuracies = [0.8, 0.9, 0.85, 0.7, 0.95]
    low, high = correct_by_nadeau_bengio(accuracies, 5) or (0, 0)
    deviation = np.std(accuracies, ddof=1) * math.sqrt(1 / 5 + 1 / 4)
    expected = scipy.stats.t.interval(0.95, 4, loc=np.mean(accuracies), scale=deviation)
    assert (low, min(1, high)) == pytest.approx((expected[0], min(1, expected[1])))
    assert correct_by_nadeau_bengio([0.5], 2) is None


def test_images_of_a_group_that_are_right_together_count_once() -> None:
    rng = np.random.default_rng(0)
    of_groups = rng.random(500) < 0.7
    groups = np.repeat(np.arange(500), 4)
    assert count_independent(np.repeat(of_groups, 4), groups) == pytest.approx(500)
    assert count_independent(rng.random(2000) < 0.7, groups) == pytest.approx(2000, rel=0.15)
    assert count_independent(np.ones(2000, bool), groups) == 500
    assert count_independent(np.ones(2000, bool), np.arange(2000)) == 2000


def test_the_words_name_it_and_say_what_images_count_as() -> None:
    words = describe_interval(0.8, Resampling(100, 0.5, 5), has_groups=True)
    assert "Nadeau and Bengio (2003)" in words
    assert "for groups" in words
    assert words.endswith("near 0.80, 100 judged images count as 57")
    assert "groups" not in describe_interval(0.8, Resampling(100, 0.5, 5), has_groups=False)
