from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from featx.evaluation import transferability
from featx.evaluation.layer_scores import (
    LayerScore,
    choose_layer,
    cross_validate_layer,
    learning_curve,
    score_layer,
    thin_rows,
)
from featx.evaluation.transferability import factorise, h_score, ledoit_wolf_shrinkage, log_evidence, neighbour_accuracy
from featx.features.splits import LabelledRows


def blobs(distance: float, n: int = 120, d: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of Gaussian points, their centres a distance apart along axes."""
    random = np.random.default_rng(0)
    y = np.arange(n) % 3
    return random.standard_normal((n, d)) + distance * np.eye(d)[y], y


def score_evidence(X: np.ndarray, y: np.ndarray) -> float:
    return log_evidence(factorise(X, y))


def score_h(X: np.ndarray, y: np.ndarray) -> float:
    return h_score(factorise(X, y))


@pytest.mark.parametrize("shape", [(60, 5), (60, 200), (60, 60), (40, 1)])
def test_the_factorisation_is_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=shape).astype(np.float32)
    y = np.arange(len(X)) % 3
    centred = X - X.mean(axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    spectrum = factorise(X, y)
    order = np.argsort(-spectrum.squares)
    assert spectrum.squares[order] == pytest.approx(s**2, abs=1e-9 * s[0] ** 2)
    known = s > 1e-6 * s[0]
    wanted = (u.T @ np.eye(3)[y])[known]
    assert np.abs(spectrum.inner[order][known]) == pytest.approx(np.abs(wanted), abs=1e-6)
    from sklearn.covariance import ledoit_wolf_shrinkage as of_scikit_learn

    assert ledoit_wolf_shrinkage(spectrum) == pytest.approx(of_scikit_learn(centred, assume_centered=True), rel=1e-9)


def test_every_score_rises_with_the_distance_between_classes() -> None:
    for score in (score_evidence, score_h, lambda X, y: neighbour_accuracy(X, y, np.arange(len(y)))):
        values = [score(*blobs(distance)) for distance in (0, 2, 4, 8)]
        assert values == sorted(values)
        assert values[-1] > values[0]


def test_the_log_evidence_is_the_one_of_the_textbook() -> None:
    """Against the Gaussian density of the targets, maximised over a grid of both precisions."""
    X, y = blobs(3, n=30, d=4)
    X = X - X.mean(axis=0)
    wanted = []
    for code in range(3):
        target = (y == code) - (y == code).mean()
        best = -np.inf
        for alpha in np.geomspace(1e-2, 1e4, 61):
            for beta in np.geomspace(1e-1, 1e3, 61):
                covariance = X @ X.T / alpha + np.eye(30) / beta
                _, logs = np.linalg.slogdet(2 * np.pi * covariance)
                best = max(best, -0.5 * (logs + target @ np.linalg.solve(covariance, target)))
        wanted.append(best / 30)
    assert score_evidence(X, y) == pytest.approx(np.mean(wanted), abs=2e-3)


def test_the_h_score_is_the_one_of_its_definition() -> None:
    from sklearn.covariance import ledoit_wolf

    narrow, y = blobs(3, n=60, d=5)
    wide, _ = blobs(3, n=60, d=200)
    # Columns that repeat others have singular values of 0.
    for X in (narrow, wide, np.hstack([narrow, narrow])):
        covariance, shrinkage = ledoit_wolf(X)
        means = np.stack([X[y == code].mean(axis=0) for code in y]) - X.mean(axis=0)
        wanted = (1 - shrinkage) * np.trace(np.linalg.solve(covariance, means.T @ means / 60))
        assert score_h(X, y) == pytest.approx(wanted, rel=1e-6)


def test_neighbours_are_looked_for_in_blocks_and_equal_ones_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    # Whole numbers: many are equally near.
    X = random.integers(-1, 2, (300, 4)).astype(np.float32)
    y = random.integers(0, 3, 300)
    groups = random.integers(0, 200, 300)
    unit = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-9)
    alike = unit @ unit.T
    alike[groups[:, None] == groups] = -2
    right = 0
    for row, nearest in enumerate(np.argsort(-alike, axis=1, kind="stable")[:, :5]):
        votes = np.zeros(3)
        for place, neighbour in enumerate(nearest):
            votes[y[neighbour]] += 1 - 1e-3 * place
        right += votes.argmax() == y[row]
    whole = neighbour_accuracy(X, y, groups)
    assert whole == right / 300
    monkeypatch.setattr(transferability, "BLOCK_SIMILARITIES", 300 * 7)
    assert neighbour_accuracy(X, y, groups) == whole


def test_neighbours_of_many_images_take_little_memory_and_are_looked_for_of_some() -> None:
    X, y = blobs(3, n=24_000, d=4)
    tracemalloc.start()
    try:
        accuracy = neighbour_accuracy(X, y, np.arange(len(y)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    judged = transferability.spread_evenly(len(y), transferability.MOST_JUDGED)
    assert len(np.unique(judged)) == transferability.MOST_JUDGED
    assert (judged[0], judged[-1]) == (0, pytest.approx(len(y), abs=3))
    # All pairs would take 2,300 MB.
    assert peak < 150e6
    assert accuracy == pytest.approx(neighbour_accuracy(X[:6000], y[:6000], np.arange(6000)), abs=0.03)


def test_on_many_rows_c_is_searched_from_the_middle_and_judged_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = blobs(1.5, n=600, d=8)
    rows = LabelledRows(y, np.arange(len(y)))
    of_all = cross_validate_layer(X, rows, 0)
    monkeypatch.setattr("featx.linear.many_rows.cost.MANY", 1)
    # Not the way that tries all values.
    monkeypatch.setattr("featx.evaluation.layer_scores.score_folds", None)
    searched = cross_validate_layer(X, rows, 0)
    assert set(searched) == set(of_all)
    for name, scored in searched.items():
        assert scored.scores.accuracy.shape == (5, len(scored.values))
        best = of_all[name].scores.accuracy.mean(axis=0).max()
        assert scored.scores.accuracy.mean(axis=0).max() == pytest.approx(best, abs=0.005)


def test_copies_of_an_image_are_not_each_others_neighbours() -> None:
    X, y = blobs(0, n=40)
    copies = np.concatenate([X] * 6)
    groups = np.tile(np.arange(40), 6)
    assert neighbour_accuracy(copies, np.tile(y, 6), np.arange(240)) == 1
    assert neighbour_accuracy(copies, np.tile(y, 6), groups) < 0.7


def evidence(layer: str, logreg: float, svm: float, knn: float, cached: bool = True) -> LayerScore:
    better = "svm" if svm > logreg else "logreg"
    return LayerScore(layer, "avg", 9, 1000, cached, 0, 0, knn, {"logreg": logreg, "svm": svm}, better)


def test_cross_validation_decides_and_among_equals_all_three_accuracies() -> None:
    clear = [evidence("a", 0.9, 0.9, 0.99), evidence("b", 0.95, 0.96, 0.7)]
    assert choose_layer(clear).layer == "b"
    equals = [evidence("a", 0.950, 0.956, 0.90), evidence("b", 0.953, 0.954, 0.94)]
    assert choose_layer(equals).layer == "b"
    sampled = [evidence("a", 0.99, 0.99, 0.99, cached=False), evidence("b", 0.9, 0.9, 0.9)]
    assert choose_layer(sampled).layer == "b"


def test_the_learning_curve_rises_and_ends_with_all_training_rows() -> None:
    X, y = blobs(1.5, n=300)
    curve = learning_curve(X, LabelledRows(y, np.arange(300)), "logreg", 42)
    assert [images for images, _ in curve] == [30, 60, 120, 240]
    assert curve[-1][1] > curve[0][1]


def test_a_share_of_rows_keeps_every_class() -> None:
    y = np.array([0] * 50 + [1] * 3)
    kept = thin_rows(np.arange(53), y, 0.1, 0)
    assert np.bincount(y[kept]).tolist() == [5, 1]


def test_a_layer_that_tells_nothing_is_at_chance() -> None:
    X, y = blobs(0)
    score = score_layer(("a", "avg"), X, LabelledRows(y, np.arange(len(y))), 42, cached=False)
    assert abs(score.best - 1 / 3) < 0.17
