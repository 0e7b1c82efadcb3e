from __future__ import annotations

import numpy as np
import pytest

from featx.errors import ModelError
from featx.features.splits import make_folds
from featx.models import strangeness as module
from featx.models.prediction_sets import PredictionSets, check_errors
from featx.models.strangeness import KnownClasses, check_known, fit_known_classes, rate_scores


def make_classes(per_class: int, classes: int = 5, d: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(0, 2, (classes + 2, d))
    y = np.repeat(np.arange(classes), per_class)
    return (centres[y] + rng.normal(0, 1, (len(y), d))).astype(np.float32), y


def make_strangers(count: int, d: int = 40) -> np.ndarray:
    centres = np.random.default_rng(99).normal(0, 2, (7, d))
    return (centres[5] + np.random.default_rng(3).normal(0, 1, (count, d))).astype(np.float32)


def fit(X: np.ndarray, y: np.ndarray) -> KnownClasses:
    return fit_known_classes(X, y, make_folds(y, np.arange(len(y)), 42))


def test_strangers_are_stranger_than_known_pictures_and_a_share_of_these_is_turned_away() -> None:
    known = fit(*make_classes(60))
    fresh, _ = make_classes(200, seed=1)
    of_known = known.rate(fresh)
    of_strangers = known.rate(make_strangers(200))
    assert np.median(of_strangers) > 1
    assert (of_strangers > 0.95).mean() > 0.9
    assert (of_known > 0.95).mean() == pytest.approx(0.05, abs=0.03)
    assert (of_known > 0.8).mean() == pytest.approx(0.2, abs=0.06)


def test_many_pictures_are_known_by_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LANDMARKS", 60)
    monkeypatch.setattr(module, "BLOCK", 64)
    known = fit(*make_classes(80))
    assert len(known.landmarks) == 60
    fresh, _ = make_classes(100, seed=1)
    assert (known.rate(fresh) > 0.95).mean() == pytest.approx(0.05, abs=0.04)
    assert (known.rate(make_strangers(100)) > 0.95).mean() > 0.85


def test_strangeness_goes_on_beyond_the_strangest_known_picture_without_a_jump() -> None:
    quantiles = np.linspace(0.2, 1.0, 1001)
    scores = np.array([1.2, 1.0, 0.6, 0.2, 0.2 - 1e-9, -0.2])
    assert rate_scores(scores, quantiles) == pytest.approx([0, 0, 0.5, 1, 1, 2], abs=1e-6)


def test_only_the_first_view_of_a_picture_counts() -> None:
    X, y = make_classes(20)
    known = fit(X, y)
    assert np.array_equal(known.rate(np.stack([X, X[::-1]], axis=1)), known.rate(X))


@pytest.mark.parametrize("X", [np.zeros((20, 4), np.float32), np.ones((20, 4), np.float32)])
def test_features_that_are_all_equal_make_nothing_strange(X: np.ndarray) -> None:
    known = fit(X, np.arange(20) % 2)
    assert np.isfinite(known.rate(X)).all()
    assert (known.rate(X) <= 1).all()


def test_hostile_numbers_are_refused() -> None:
    known = fit(*make_classes(10))
    check_known(known)
    falling = KnownClasses(*(getattr(known, name) for name in module.NAMES[:-1]), quantiles=known.quantiles[::-1])
    with pytest.raises(ModelError, match="do not rise"):
        check_known(falling)
    long = KnownClasses(known.projection, known.offset, known.landmarks * 50, known.weights, known.quantiles)
    with pytest.raises(ModelError, match="not of unit length"):
        check_known(long)
    for errors in ([0.5, 0.2], [-0.1, 0.3], [0.2, 1.5]):
        with pytest.raises(ModelError, match="not from 0 to 1 in rising order"):
            check_errors(np.array(errors))


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_hold_the_true_class_as_often_as_asked_for(coverage: float) -> None:
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores = rng.normal(0, 1, (600, 6))
        truth = rng.integers(0, 6, 600)
        scores[np.arange(600), truth] += 1.5
        probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        sets = PredictionSets.calibrate(probabilities[:200], truth[:200])
        assert sets is not None
        chosen = sets.choose(probabilities[200:], coverage)
        held.append(chosen[np.arange(400), truth[200:]].mean())
    assert np.mean(held) == pytest.approx(coverage, abs=0.01)


def test_sets_of_a_classifier_that_is_nearly_always_right_are_empty_where_it_is_least_sure() -> None:
    sure = np.linspace(0.6, 0.999, 99)
    probabilities = np.column_stack([sure, 1 - sure])
    sets = PredictionSets.calibrate(probabilities, np.zeros(99, np.intp))
    assert sets is not None
    chosen = sets.choose(probabilities, 0.9)
    assert chosen.sum(axis=1).max() == 1
    assert not chosen[0].any()
    assert chosen[:, 0].mean() == pytest.approx(0.9, abs=0.02)


def test_too_few_pictures_for_a_probability_give_sets_of_all_classes() -> None:
    sets = PredictionSets.calibrate(np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]]), np.array([0, 0, 1]))
    assert sets is not None
    assert len(sets.errors) == 2
    assert sets.choose(np.array([[0.99, 0.01]]), 0.9).all()
    assert PredictionSets.calibrate(np.full((2, 2), np.nan), np.array([0, 1])) is None
