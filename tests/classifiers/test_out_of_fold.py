from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.out_of_fold import Setting, score_out_of_fold
from featx.classifiers.search import DEFAULT_OPTIONS, SearchOptions
from featx.classifiers.to_arrays import to_arrays
from featx.features.splits import make_folds, with_views
from featx.linear.fit import fit_linear

PARAMS = {"logreg": {"C": 0.1}, "svm": {"C": 0.01}, "knn": {"k": 3}, "mlp": {}}


def make_rows(per_class: int = 20) -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat(np.arange(3), per_class)
    return (np.eye(8)[y] * 2 + np.random.default_rng(0).normal(size=(len(y), 8))).astype(np.float32), y


@pytest.mark.parametrize("clf", PARAMS)
def test_every_row_is_scored_by_a_classifier_that_did_not_see_it(clf: str) -> None:
    X, y = make_rows()
    folds = make_folds(y, np.arange(len(y)), 42)
    scores = score_out_of_fold(Setting(clf, PARAMS[clf], 42, DEFAULT_OPTIONS), X, y, folds)
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == y).mean() > 0.7
    # A label that nothing supports is not learned where it was not seen.
    flipped = y.copy()
    flipped[0] = 2
    again = score_out_of_fold(Setting(clf, PARAMS[clf], 42, DEFAULT_OPTIONS), X, flipped, folds)
    assert again[0].argmax() == scores[0].argmax()


def test_scores_are_those_of_a_fit_on_the_other_folds() -> None:
    X, y = make_rows()
    folds = make_folds(y, np.arange(len(y)), 42)
    scores = score_out_of_fold(Setting("logreg", {"C": 0.1}, 42, DEFAULT_OPTIONS), X, y, folds)
    train, val = folds[0]
    expected = to_arrays(fit_linear(X[train], y[train], "logreg", 0.1)).scores(X[val])
    assert scores[val] == pytest.approx(expected, abs=1e-3)


def test_a_class_that_was_not_trained_on_is_never_probable_and_a_row_of_no_fold_is_not_judged() -> None:
    X, y = make_rows(4)
    folds = [(np.arange(8), np.array([8, 9]))]
    scores = score_out_of_fold(Setting("logreg", {"C": 0.1}, 42, DEFAULT_OPTIONS), X, y, folds)
    assert np.isneginf(scores[8:10, 2]).all()
    assert np.isnan(scores[10:]).all()


def test_views_of_a_picture_are_averaged_in_its_first_row() -> None:
    X, y = make_rows()
    both = np.concatenate([X, X])
    folds = with_views(make_folds(y, np.arange(len(y)), 42), len(y), 2, 2)
    options = SearchOptions(views=2)
    scores = score_out_of_fold(Setting("svm", {"C": 0.01}, 42, options), both, np.tile(y, 2), folds)
    assert np.isfinite(scores[: len(y)]).all()
    assert np.isnan(scores[len(y) :]).all()
