from __future__ import annotations

import numpy as np
import pytest

from featx.features.splits import LabelledRows
from featx.selection.kernel_ridge import NEVER_VALIDATES, PENALTIES, RidgeTargets, predict_left_out, score_gram


def make_problem(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping classes, columns centred."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = random.normal(size=(n, d)) + 0.8 * np.eye(3, d)[y]
    return X - X.mean(axis=0), y


def refit(X: np.ndarray, y: np.ndarray, fold: tuple[np.ndarray, np.ndarray], penalty: float) -> np.ndarray:
    """Ridge regression with an intercept on the training rows of a fold, in the plain way: predictions (m, k)."""
    train, val = fold
    indicators = np.eye(y.max() + 1)[y]
    mean = X[train].mean(axis=0)
    centred = X[train] - mean
    right = centred.T @ (indicators[train] - indicators[train].mean(axis=0))
    weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(X.shape[1]), right)
    return (X[val] - mean) @ weights + indicators[train].mean(axis=0)


@pytest.mark.parametrize("d", [5, 120])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_closed_form_predicts_as_a_fit_of_every_fold(d: int, grouped: bool) -> None:
    X, y = make_problem(60, d)
    groups = np.arange(60) // 6 if grouped else np.arange(60)
    folds = LabelledRows(y, groups).folds(1)
    gram = X @ X.T
    unit = np.linalg.eigvalsh(gram).clip(0).mean()
    predicted = predict_left_out(gram, RidgeTargets(y, folds), PENALTIES)
    for penalty, of_penalty in zip(PENALTIES, predicted, strict=True):
        for fold in folds:
            assert np.array_equal(of_penalty[fold[1]], refit(X, y, fold, penalty * unit).argmax(axis=1))


def test_single_precision_changes_next_to_nothing() -> None:
    X, y = make_problem(150, 400)
    targets = RidgeTargets(y, LabelledRows(y, np.arange(150)).folds(1))
    gram = X @ X.T
    assert score_gram(gram.astype(np.float32), targets) == pytest.approx(score_gram(gram, targets), abs=1 / 150)


def test_features_with_one_strong_direction_are_judged_in_single_precision() -> None:
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = random.normal(size=(120, 6)) * [1e4, 1, 1, 1, 1, 1] + 4 * np.eye(3, 6, 1)[y]
    X -= X.mean(axis=0)
    targets = RidgeTargets(y, LabelledRows(y, np.arange(120)).folds(1))
    gram = (X @ X.T).astype(np.float32)
    assert score_gram(gram, targets, [1e-9]) > 1 / 3
    assert 0 <= score_gram(gram, targets) <= 1


def test_rows_that_never_validate_do_not_count() -> None:
    X, y = make_problem(31, 8)
    y = np.append(y[:30], 3)
    folds = LabelledRows(y, np.arange(31)).folds(1)
    targets = RidgeTargets(y, folds)
    predicted = predict_left_out(X @ X.T, targets, [1.0])
    assert predicted[0, 30] == NEVER_VALIDATES
    assert (predicted[0, :30] != NEVER_VALIDATES).all()
    assert score_gram(X @ X.T, targets, [1.0]) == (predicted[0, :30] == y[:30]).mean()


def test_where_nothing_can_be_divided_the_rows_that_train_are_predicted() -> None:
    X = np.eye(4) - 0.25
    y = np.arange(4)
    targets = RidgeTargets(y, LabelledRows(y, np.arange(4)).folds(1))
    assert score_gram(X @ X.T, targets) == 1


def test_balanced_accuracy_counts_classes_alike() -> None:
    y = np.array([0] * 40 + [1] * 10)
    folds = LabelledRows(y, np.arange(50)).folds(1)
    nothing = np.zeros((50, 50), np.float32)
    assert score_gram(nothing, RidgeTargets(y, folds)) == pytest.approx(0.8)
    assert score_gram(nothing, RidgeTargets(y, folds, balanced=True)) == pytest.approx(0.5)


def test_the_gram_matrix_stays_as_it_was() -> None:
    X, y = make_problem(30, 4)
    gram = X @ X.T
    before = gram.copy()
    score_gram(gram, RidgeTargets(y, LabelledRows(y, np.arange(30)).folds(1)))
    assert np.array_equal(gram, before)
