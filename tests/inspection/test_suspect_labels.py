from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from featx.inspection.suspect_labels import (
    compare_with_others,
    estimate_joint,
    find_suspect_labels,
    rate_labels,
    smooth_shares,
)


def make_probabilities(truth: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Probabilities that are right in most rows, and unsure in some."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (len(truth), classes))
    scores[np.arange(len(truth)), truth] += rng.normal(5, 1.5, len(truth))
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("share", [0.05, 0.1])
def test_flipped_labels_are_ranked_first_and_counted(share: float) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, 2000)
    labels = truth.copy()
    flipped = rng.choice(2000, int(share * 2000), replace=False)
    labels[flipped] = (labels[flipped] + rng.integers(1, 5, len(flipped))) % 5
    found = find_suspect_labels(make_probabilities(truth, 5, 2), labels)
    assert average_precision_score(labels != truth, -found.log_odds) > 0.95
    assert found.estimated == pytest.approx(len(flipped), rel=0.3)
    suspects = found.rank()
    assert (labels != truth)[suspects].mean() > 0.85
    assert (found.suggested[suspects] == truth[suspects]).mean() > 0.85


def test_a_row_that_no_fold_judged_is_never_suspect() -> None:
    probabilities = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8], [0.95, 0.05]])
    found = find_suspect_labels(probabilities, np.array([0, 1, 1, 0]))
    assert np.isnan(found.margins[1])
    assert not found.is_suspect.any()
    assert find_suspect_labels(np.full((2, 2), np.nan), np.array([0, 1])).estimated == 0


def test_the_joint_has_as_many_of_each_label_as_are_given() -> None:
    labels = np.array([0] * 6 + [1] * 4)
    joint = estimate_joint(make_probabilities(labels, 2, 0), labels)
    assert joint.sum(axis=1) == pytest.approx([6, 4])


def test_a_label_is_compared_with_the_most_probable_other_class() -> None:
    of_label, of_others = compare_with_others(np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), np.array([0, 1]))
    assert of_label == pytest.approx([0.7, 0.3])
    assert of_others == pytest.approx([0.2, 0.6])


def test_classes_that_are_taken_for_each_other_are_held_against_a_label_more_than_others() -> None:
    joint = np.diag([100.0] * 6)
    joint[0, 1] = joint[1, 0] = 20
    probabilities = np.full((2, 6), 0.05)
    probabilities[:, 0] = 0.4
    probabilities[0, 1] = probabilities[1, 2] = 0.4
    confused, unusual = rate_labels(probabilities, np.array([0, 0]), joint)
    assert confused < unusual


def test_with_evenly_spread_wrong_labels_the_probability_of_the_label_ranks() -> None:
    joint = np.full((4, 4), 2.0) + np.diag([90.0] * 4)
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), 200)
    labels = rng.integers(0, 4, 200)
    rated = rate_labels(probabilities, labels, joint)
    assert np.array_equal(rated.argsort(), probabilities[np.arange(200), labels].argsort())


def test_shares_of_wrong_labels_add_up_and_single_pairs_stand_out_only_where_counts_say_so() -> None:
    single, even = np.zeros((5, 5)), np.full((5, 5), 10.0)
    single[[1, 2, 3, 4, 0], [0, 1, 2, 3, 4]] = 40
    np.fill_diagonal(even, 0)
    for wrong in (single, even, np.zeros((5, 5))):
        assert smooth_shares(wrong).sum(axis=0) == pytest.approx(np.ones(5))
    assert smooth_shares(single)[1, 0] > 0.5
    assert smooth_shares(even)[1, 0] == pytest.approx(0.25)
    assert smooth_shares(np.zeros((1, 1))).tolist() == [[0.0]]
