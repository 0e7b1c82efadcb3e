"""The search on many rows: which values are tried, that it chooses as the whole grid does, and what it hands on."""

from __future__ import annotations

import logging
import time

import numpy as np
import pytest

from featx.classifiers.choice import choose_value, rate_values
from featx.classifiers.figures import Criterion
from featx.classifiers.grids import LOGREG_C, SVM_C
from featx.classifiers.heartbeat import make_heartbeat
from featx.classifiers.registry import Linear
from featx.classifiers.search import SearchOptions, score_values, search_linear
from featx.classifiers.search_path import search_path, visit_values
from featx.features.splits import make_folds
from featx.linear.cross_validation import cross_validate, prepare_fold, score_fold
from featx.linear.fit import fit_linear
from featx.linear.many_rows.cost import has_many_rows
from featx.linear.many_rows.path import PathSetting
from featx.linear.options import SolverOptions
from featx.linear.val_scores import CVScores, stack_scores
from featx.linear.weighting import UNWEIGHTED, WeightedLabels, Weighting
from featx.log import NOTE
from featx.types import Fold

GRID = {"logreg": LOGREG_C, "svm": SVM_C}


def peak_at(best: float, tried: list[float]):
    """Make a score that is highest at one C, and note what is asked for."""

    def score(c: float) -> CVScores:
        tried.append(c)
        distance = abs(np.log(c / best))
        return CVScores(np.array(1 / (1 + distance)), np.array(distance))

    return score


@pytest.mark.parametrize("name", ["logreg", "svm"])
@pytest.mark.parametrize("place", range(15))
def test_the_best_value_is_found_and_both_directions_are_left_after_two_falls(name: str, place: int) -> None:
    values = GRID[name]
    tried: list[float] = []
    ladder, visits = visit_values(name, values, peak_at(values[place], tried))
    assert ladder[visits.best] == values[place]
    # No value is tried twice, and those that are lie side by side.
    assert sorted(tried) == [ladder[each] for each in range(min(visits.scores), max(visits.scores) + 1)]
    first = len(values) // 2 - 2
    lowest = place - 2 if place < first + 2 else first
    places = [each - ladder.index(values[0]) for each in sorted(visits.scores)]
    highest = max(place, first) + 2
    if 0 < place < len(values) - 1:
        assert places == list(range(max(lowest, 0), min(highest, len(values) - 1) + 1))


def test_values_beyond_the_grid_are_tried_only_where_its_edge_is_best() -> None:
    tried: list[float] = []
    _, visits = visit_values("logreg", LOGREG_C, peak_at(LOGREG_C[-2], tried))
    assert max(tried) == LOGREG_C[-1]
    tried.clear()
    ladder, visits = visit_values("logreg", LOGREG_C, peak_at(1e3, tried))
    assert ladder[visits.best] == pytest.approx(1e3)
    assert max(tried) == pytest.approx(1e4)
    tried.clear()
    ladder, visits = visit_values("svm", SVM_C, peak_at(1e-30, tried))
    assert ladder[visits.best] == ladder[0] == pytest.approx(1e-8)


def make_many(classes: int = 40, n: int = 10_000, d: int = 64) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = random.permutation(np.arange(n) % classes)
    x = random.standard_normal((n, d)) + 0.35 * random.standard_normal((classes, d))[y]
    X = (x * np.arange(1, d + 1) ** -0.3).astype(np.float32)
    assert has_many_rows(len(X) * 4 // 5, d, classes)
    return X, y


def solve_as_few(name: str, X: np.ndarray, labels: WeightedLabels, fold: Fold, values: list[float]) -> CVScores:
    """Score values of C on one fold by the solvers for few rows, (1, values) each."""
    return stack_scores([score_fold(prepare_fold(X, labels, fold), {name: values})[name]])


@pytest.mark.parametrize("name", ["logreg", "svm"])
@pytest.mark.parametrize("weighting", [Weighting(), Weighting({0: 4.0})], ids=["plain", "weighted"])
def test_the_search_chooses_as_the_whole_grid_does(name: str, weighting: Weighting) -> None:
    X, y = make_many()
    fold = make_folds(y, np.arange(len(y)), 42)[:1]
    labels = WeightedLabels(y, weighting)
    path = score_values({name: Linear(GRID[name])}, X, labels, fold)[name]
    assert len(path.values) < len(GRID[name])
    # The same values by the solvers for few rows.
    scores = solve_as_few(name, X, labels, fold[0], path.values)
    ours, theirs = rate_values(name, path.scores), rate_values(name, scores)
    winner = choose_value(name, path.scores)
    assert theirs.max() - theirs[winner] < 2e-3
    assert ours == pytest.approx(theirs, abs=3e-3)
    assert path.scores.accuracy == pytest.approx(scores.accuracy, abs=3e-3)
    assert (path.scores.weighted_accuracy is None) == (weighting.classes is None)


def test_every_fold_tries_what_was_worth_it_on_the_first_and_the_fit_begins_where_the_search_ended() -> None:
    X, y = make_many()
    folds = make_folds(y, np.arange(len(y)), 42)[:2]
    criterion = Criterion("balanced_accuracy")
    scored = score_values({"logreg": Linear(LOGREG_C)}, X, WeightedLabels(y, UNWEIGHTED), folds, criterion)["logreg"]
    assert scored.scores.accuracy.shape == (2, len(scored.values))
    assert scored.scores.merit is not None
    assert set(scored.starts) == set(scored.values)
    alone = score_values({"logreg": Linear(LOGREG_C)}, X, WeightedLabels(y, UNWEIGHTED), folds[1:], criterion)["logreg"]
    shared = [value for value in scored.values if value in alone.values]
    for value in shared:
        of_second = scored.scores.accuracy[1, scored.values.index(value)]
        assert alone.scores.accuracy[0, alone.values.index(value)] == pytest.approx(of_second, abs=5e-3)


@pytest.mark.parametrize("name", ["logreg", "svm"])
def test_labels_that_mean_nothing_are_not_told_apart_however_large_c_is(name: str) -> None:
    """Folds that began from what another had solved, which was trained on their validation rows, had 100 % here."""
    rng = np.random.default_rng(0)
    columns = 60
    X = (rng.standard_normal((100, columns)) * np.geomspace(1, 0.01, columns)).astype(np.float32)
    y = np.arange(100) % 4
    folds = make_folds(y, np.arange(100), 1)
    setting = PathSetting(name, threads=1)
    tried = search_path([1.0, 100.0, 1e4], X, WeightedLabels(y, UNWEIGHTED), folds, setting)
    assert max(tried.values) >= 1e4
    assert tried.scores.accuracy.mean(axis=0).max() < 0.4


def test_a_whole_grid_on_many_rows_scores_as_the_solvers_for_few_do() -> None:
    X, y = make_many()
    folds = make_folds(y, np.arange(len(y)), 42)[:2]
    values = [0.03, 0.01, 0.1]
    scores = cross_validate(X, y, folds, {"logreg": values})["logreg"]
    assert scores.accuracy.shape == (2, 3)
    labels = WeightedLabels(y, UNWEIGHTED)
    for place, fold in enumerate(folds):
        expected = solve_as_few("logreg", X, labels, fold, values)
        assert scores.accuracy[place] == pytest.approx(expected.accuracy[0], abs=2e-3)
        assert scores.loss[place] == pytest.approx(expected.loss[0], abs=3e-3)


def test_views_of_an_image_are_averaged_where_rows_are_many() -> None:
    X, y = make_many()
    X = np.vstack([X, X + 0.1])
    images = make_folds(y, np.arange(len(y)), 42)[0]
    train = np.concatenate([images[0], images[0] + len(y)])
    fold = (train, images[1][:, None] + len(y) * np.arange(2))
    labels = WeightedLabels(np.tile(y, 2), UNWEIGHTED)
    path = score_values({"svm": Linear(SVM_C)}, X, labels, [fold])["svm"]
    scores = solve_as_few("svm", X, labels, fold, path.values)
    assert path.scores.accuracy == pytest.approx(scores.accuracy, abs=4e-3)


def test_the_model_of_a_search_is_that_of_a_tight_fit() -> None:
    X, y = make_many()
    folds = make_folds(y, np.arange(len(y)), 42)[:1]
    found = search_linear({"svm": Linear(SVM_C)}, X, y, folds, SearchOptions())["svm"]
    tight = fit_linear(X, y, "svm", found.params["C"], SolverOptions(1e-10, space="columns"))
    error = np.linalg.norm(found.model.weights - tight.weights) / np.linalg.norm(tight.weights)
    assert error < 1e-4
    assert not found.at_edge


def test_a_long_fit_says_how_far_it_is_and_a_short_one_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(NOTE):
        make_heartbeat("a fit", first_after=100)(1, 10)
        assert not caplog.messages
        beat = make_heartbeat("a fit", first_after=0, again_after=100)
        time.sleep(0.01)
        beat(5, 10)
        beat(6, 10)
    (message,) = caplog.messages
    assert message.startswith("a fit: 5 of about 10 passes over the rows, about 0 s left")
    assert caplog.records[0].levelno == NOTE > logging.INFO
