"""Scores of folds are those that scikit-learn's classifiers get, at every C and in the order asked for."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from featx.linear.cross_validation import cross_validate, prepare_fold, score_fold
from featx.linear.options import ROUGH, SolverOptions
from featx.linear.spaces import PARETO, compute_column_basis, fit_scaling
from featx.linear.val_scores import log_loss
from tests.linear.problems import REFERENCES, Case, make_problem

pytestmark = pytest.mark.slow

Fold = tuple[np.ndarray, np.ndarray, np.ndarray]
"""All rows, scaled by what the training rows say; training rows; validation rows."""


def scale_columns(x: np.ndarray, train: np.ndarray, power: float) -> np.ndarray:
    """Scale all rows as the training rows ask for, by scikit-learn's standard scaler and what is left to Pareto's."""
    standard = StandardScaler().fit(x[train]).transform(x)
    deviation = np.where(np.ptp(x[train], axis=0) > 0, x[train].std(axis=0), 0)
    return standard * (deviation / deviation.mean()) ** (1 - power)


def reference_accuracies(kind: str, folds: list[Fold], labels: np.ndarray, values: list[float]) -> np.ndarray:
    """Score scikit-learn at every C: (folds, values)."""
    accuracies = []
    for x, train, val in folds:
        models = [REFERENCES[kind](c).fit(x[train], labels[train]) for c in values]
        accuracies.append([model.score(x[val], labels[val]) for model in models])
    return np.array(accuracies)


def reference_losses(folds: list[Fold], labels: np.ndarray, values: list[float]) -> np.ndarray:
    """Score scikit-learn's logistic regression by its log-loss at every C: (folds, values)."""
    losses = []
    for x, train, val in folds:
        models = [LogisticRegression(C=c, max_iter=5000).fit(x[train], labels[train]) for c in values]
        losses.append([sklearn.metrics.log_loss(labels[val], model.predict_proba(x[val])) for model in models])
    return np.array(losses)


@pytest.mark.parametrize("power", [PARETO, 1.0])
@pytest.mark.parametrize("shape", [(240, 400), (240, 30)], ids=["rows", "columns"])
def test_cross_validated_accuracies_are_scikit_learns_at_every_c(shape: tuple[int, int], power: float) -> None:
    x, labels = make_problem(Case(*shape, 4, 1.0, 13, constant=True))
    x = x.astype(np.float32)
    values = [1e-4, 1e-2, 1.0]
    wrong = np.random.default_rng(0).random(len(x)) < 0.3
    labels[wrong] = (labels[wrong] + 1) % 4
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(x, labels))
    ours = cross_validate(x, labels, folds, {"logreg": values, "svm": values}, power=power)
    scaled_folds = [(scale_columns(x.astype(np.float64), train, power), train, val) for train, val in folds]
    for kind, scores in ours.items():
        theirs = reference_accuracies(kind, scaled_folds, labels, values)
        # One image is 0.42 points here.
        np.testing.assert_allclose(scores.accuracy.mean(axis=0), theirs.mean(axis=0), atol=0.0043)
        assert theirs.mean() < 0.99, "the problem is too easy to tell anything"
        if kind == "logreg":
            theirs = reference_losses(scaled_folds, labels, values)
            np.testing.assert_allclose(scores.loss.mean(axis=0), theirs.mean(axis=0), rtol=0.01)


@pytest.mark.parametrize("svm_solver", ["lbfgs", "newton"])
def test_a_basis_of_all_rows_changes_no_score(svm_solver: str) -> None:
    options = SolverOptions(ROUGH.tolerance, svm_solver=svm_solver)  # type: ignore[arg-type]
    x, labels = make_problem(Case(200, 30, 4, 1.0, 37))
    x = x.astype(np.float32)
    fold = (np.arange(120), np.arange(120, 200))
    grid = {"logreg": [0.01, 10], "svm": [0.01, 10]}
    fold_basis = score_fold(prepare_fold(x, labels, fold), grid, options)
    basis = compute_column_basis(x, fit_scaling(x))
    shared_basis = score_fold(prepare_fold(x, labels, fold, basis), grid, options)
    for kind in grid:
        np.testing.assert_allclose(shared_basis[kind].loss, fold_basis[kind].loss, rtol=0.01)
        one_image_of_80 = 0.013
        np.testing.assert_allclose(shared_basis[kind].accuracy, fold_basis[kind].accuracy, atol=one_image_of_80)


def test_accuracies_come_in_the_order_of_the_c_asked_for() -> None:
    x, labels = make_problem(Case(90, 40, 3, 1.0, 17))
    folds = list(StratifiedKFold(3).split(x, labels))
    rising = cross_validate(x, labels, folds, {"logreg": [1e-5, 1e-1, 1e3]})["logreg"].accuracy
    falling = cross_validate(x, labels, folds, {"logreg": [1e3, 1e-1, 1e-5]})["logreg"].accuracy
    np.testing.assert_array_equal(rising, falling[:, ::-1])


def test_shuffled_labels_score_at_chance() -> None:
    x, labels = make_problem(Case(400, 600, 4, 1.0, 19))
    labels = np.random.default_rng(0).permutation(labels)
    folds = list(StratifiedKFold(5).split(x, labels))
    for scores in cross_validate(x, labels, folds, {"logreg": [1e-3, 1.0], "svm": [1e-3, 1.0]}).values():
        # Three standard deviations of 400 draws at one in four.
        assert abs(scores.accuracy.mean() - 0.25) < 3 * (0.25 * 0.75 / 400) ** 0.5


def test_a_fold_that_lacks_a_class_is_scored_on_the_others() -> None:
    x, labels = make_problem(Case(60, 10, 3, 1.0, 23))
    train = np.flatnonzero(labels < 2)[:20]
    by_kind = cross_validate(x, labels, [(train, np.arange(60))], {"logreg": [1.0], "svm": [1.0]})
    for scores in by_kind.values():
        assert scores.accuracy.max() <= 2 / 3
        assert np.isfinite(scores.loss).all()


def test_log_loss_of_even_scores_is_that_of_guessing() -> None:
    assert log_loss(np.zeros((4, 10)), np.arange(4), np.arange(10) % 4) == pytest.approx(np.log(4))
    assert log_loss(np.zeros((1, 10)), np.arange(2), np.arange(10) % 2) == pytest.approx(np.log(2))


def test_log_loss_leaves_out_classes_that_were_not_trained_on() -> None:
    scores = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    classes = np.array(["a", "c"])
    without = log_loss(scores[:, :2], classes, np.array(["a", "c"]))
    assert log_loss(scores, classes, np.array(["a", "c", "b"])) == pytest.approx(without)
    assert log_loss(scores, classes, np.array(["b", "b", "b"])) == 0.0
