"""The search for C: beyond its grid where that pays, and by the figure that was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from featx.classifiers.figures import Criterion
from featx.classifiers.grids import C_STEP, LOGREG_C, STEPS_BEYOND, SVM_C, list_beyond, list_warm_values
from featx.classifiers.registry import CLASSIFIERS, Linear
from featx.classifiers.search import SearchOptions, choose_c, search, search_linear
from featx.classifiers.search_out_of_core import RowBlocks, search_out_of_core
from featx.features.splits import make_folds
from featx.linear.val_scores import CVScores
from featx.linear.weighting import UNWEIGHTED, Weighting
from featx.requests import SelectedFigure


def make_rows(n: int = 120, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = (np.arange(n) % 4 == 0).astype(int)
    X = random.normal(size=(n, 12)) * noise
    X[:, 0] += 2 * y
    return X.astype(np.float32), y


def folds_of(y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(make_folds(y, np.arange(len(y)), 42))


@pytest.mark.parametrize("grid", [LOGREG_C, SVM_C])
def test_values_beyond_a_grid_go_on_by_its_own_step(grid: list[float]) -> None:
    above, below = list_beyond(grid, True), list_beyond(grid, False)
    assert len(above) == len(below) == STEPS_BEYOND
    steps = np.diff(np.log10([*below, *grid, *above]))
    assert steps == pytest.approx(np.log10(C_STEP))


def test_a_large_c_is_reached_from_smaller_ones_and_a_small_one_at_once() -> None:
    assert list_warm_values([1, 2, 3, 4], [5, 6]) == [2, 3, 4, 5, 6]
    assert list_warm_values([1, 2, 3, 4], [0.1, 0.5]) == [0.1, 0.5]
    assert list_warm_values([1], [2]) == [1, 2]


def test_a_grid_that_ends_too_soon_is_extended_to_where_the_whole_one_has_its_best() -> None:
    X, y = make_rows()
    folds = folds_of(y)
    whole = search(["logreg"], X, y, folds, 42)["logreg"]
    assert not whole.at_edge
    assert whole.edge is None
    place = LOGREG_C.index(whole.params["C"])
    for part in (LOGREG_C[: place - 1], LOGREG_C[place + 2 :]):
        short = search_linear({"logreg": Linear(part)}, X, y, folds)["logreg"]
        assert short.at_edge
        assert short.params["C"] == pytest.approx(whole.params["C"])
        assert short.cv_accuracy == pytest.approx(whole.cv_accuracy, abs=0.02)


def scores_of(losses: list[float]) -> CVScores:
    return CVScores(accuracy=np.array([[1 - loss for loss in losses]]), loss=np.array([losses]))


def test_the_best_of_all_that_was_tried_is_chosen_and_its_edge_is_told() -> None:
    usual = scores_of([0.3, 0.2, 0.1])
    inside = choose_c("logreg", [1, 2, 3], usual, [4, 5], scores_of([0.05, 0.2]))
    assert (inside.params["C"], inside.at_edge, inside.edge) == (4, True, None)
    still_rising = choose_c("logreg", [1, 2, 3], usual, [4, 5], scores_of([0.05, 0.04]))
    assert (still_rising.params["C"], still_rising.edge) == (5, "highest")
    no_better = choose_c("logreg", [1, 2, 3], usual, [4, 5], scores_of([0.3, 0.4]))
    assert (no_better.params["C"], no_better.at_edge, no_better.edge) == (3, True, None)
    below = choose_c("logreg", [1, 2, 3], scores_of([0.1, 0.2, 0.3]), [0.1, 0.5], scores_of([0.02, 0.04]))
    assert (below.params["C"], below.edge, below.cv_accuracy) == (0.1, "lowest", pytest.approx(0.98))


@pytest.mark.parametrize("figure", get_args(SelectedFigure))
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_is_scored_by_every_figure(name: str, figure: SelectedFigure) -> None:
    X, y = make_rows()
    folds = folds_of(y)
    criterion = Criterion(figure)
    fitted = search([name], X, y, folds, 42, SearchOptions(criterion=criterion))[name]
    value = criterion.to_figure(fitted.cv_merit)
    assert value is not None
    assert 0 <= value <= 1.5
    if figure == "accuracy":
        assert value == pytest.approx(fitted.cv_accuracy)
    assert search([name], X, y, folds, 42)[name].cv_merit is None


def test_views_of_an_image_are_averaged_before_they_are_rated() -> None:
    X, y = make_rows()
    both = np.concatenate([X, X])
    folds = [(np.concatenate([train, train + 120]), val[:, None] + 120 * np.arange(2)) for train, val in folds_of(y)]
    options = SearchOptions(views=2, criterion=Criterion("log_loss"))
    for name in CLASSIFIERS:
        fitted = search([name], both, np.tile(y, 2), folds, 42, options)[name]
        assert fitted.cv_merit is not None
        assert -1 < fitted.cv_merit < 0


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_is_searched_by_a_figure_with_weights_and_states_it_unweighted(name: str) -> None:
    X, y = make_rows(noise=3.0)
    weighting = Weighting({1: 30.0}, 1.0 + np.arange(120) % 2)
    options = SearchOptions(criterion=Criterion("macro_f1"), weighting=weighting)
    fitted = search([name], X, y, folds_of(y), 42, options)[name]
    assert fitted.cv_merit is not None
    plain = search([name], X, y, folds_of(y), 42, replace(options, weighting=UNWEIGHTED))[name]
    if name == "knn":
        assert (fitted.params, fitted.cv_merit) == (plain.params, plain.cv_merit)
    elif name != "dummy":
        missed = [float((of.model.predict(X)[y == 1] == 0).mean()) for of in (fitted, plain)]
        assert missed[0] < missed[1], "errors on class 1 cost most"


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_a_figure_chooses_weighted_in_memory_and_out_of_core_alike(name: str) -> None:
    X, y = make_rows(n=240)
    weighting = Weighting("balanced", 1.0 + np.arange(240) % 3)
    options = SearchOptions(criterion=Criterion("log_loss"), weighting=weighting)
    fold = folds_of(y)[0]
    blocks = RowBlocks(lambda rows: X[rows], np.arange(240), 50)
    streamed, _ = search_out_of_core([name], blocks, y, fold, options)[name]
    in_memory = search([name], X, y, [fold], 42, options)[name]
    assert streamed.cv_merit == pytest.approx(in_memory.cv_merit, rel=0.02)
    assert streamed.cv_accuracy == pytest.approx(in_memory.cv_accuracy, abs=0.05)
