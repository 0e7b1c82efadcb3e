from __future__ import annotations

import math

import numpy as np
import pytest

from featx.classifiers.figures import Criterion
from featx.classifiers.search import SearchOptions, search
from featx.errors import RequestError
from featx.features.splits import LabelledRows, with_views
from featx.linear.weighting import Weighting
from featx.selection.trials import Gain, Trial, TrialOptions, compare_trials, cross_validate_repeatedly


def make_rows(n: int = 90, noise: float = 1.0, views: int = 1) -> tuple[np.ndarray, LabelledRows]:
    random = np.random.default_rng(0)
    y = np.arange(n) % 3
    X = random.normal(size=(views * n, 12)) * noise
    X[:, :3] += 1.5 * np.eye(3)[np.tile(y, views)]
    return X.astype(np.float32), LabelledRows(y, np.arange(n))


@pytest.mark.parametrize("select", [None, "balanced_accuracy", "log_loss"])
@pytest.mark.parametrize("views", [1, 2])
def test_one_repeat_is_the_cross_validation_of_the_search(views: int, select: str | None) -> None:
    X, rows = make_rows(views=views)
    criterion = Criterion(select) if select else None
    weighting = Weighting("balanced")
    folds = with_views(rows.folds(42), 90, views, views)
    found = search(["logreg", "svm"], X, np.tile(rows.y, views), folds, 42, SearchOptions(views, criterion, weighting))
    options = TrialOptions(1, views, views, weighting, criterion)
    trials = cross_validate_repeatedly(X, rows, ["logreg", "svm"], 42, options)
    assert list(trials) == ["logreg", "svm"]
    for name, trial in trials.items():
        assert trial.params == found[name].params
        assert trial.accuracy == pytest.approx(found[name].cv_accuracy)
        assert trial.folds == len(trial.accuracies) == 5
        if select:
            assert trial.rate == pytest.approx(found[name].cv_merit)


def test_every_repeat_has_folds_of_its_own_and_all_share_one_c() -> None:
    X, rows = make_rows(noise=2)
    one = cross_validate_repeatedly(X, rows, ["logreg"], 42, TrialOptions(1))["logreg"]
    three = cross_validate_repeatedly(X, rows, ["logreg"], 42, TrialOptions(3))["logreg"]
    assert len(three.accuracies) == 15
    assert len(three.params) == 1
    repeats = three.accuracies.reshape(3, 5)
    assert not np.array_equal(repeats[0], repeats[1])
    if one.params == three.params:
        assert np.array_equal(repeats[0], one.accuracies)


def test_the_mlp_is_tried_by_the_same_folds() -> None:
    X, rows = make_rows()
    mlp = search(["mlp"], X, rows.y, rows.folds(42), 42)["mlp"]
    trial = cross_validate_repeatedly(X, rows, ["mlp"], 42, TrialOptions(1))["mlp"]
    assert trial.accuracy == pytest.approx(mlp.cv_accuracy)


def test_what_is_not_searched_by_c_or_trained_takes_no_part() -> None:
    X, rows = make_rows()
    with pytest.raises(RequestError, match="'knn' takes no part in trials: choose logreg, svm or mlp"):
        cross_validate_repeatedly(X, rows, ["knn"], 42)


def trial_of(accuracies: list[float], folds: int = 5, figures: list[float] | None = None) -> Trial:
    return Trial("logreg", {}, np.array(accuracies), None if figures is None else np.array(figures), folds, 0.0)


def test_a_gain_is_judged_fold_by_fold_with_the_correction_for_shared_rows() -> None:
    base = trial_of([0.7, 0.8, 0.9, 0.6] * 2)
    differences = np.array([1, 2, 3, 2, 1, 2, 3, 2])
    other = trial_of((base.accuracies + differences / 100).tolist())
    gain = compare_trials(base, other)
    assert gain.points == pytest.approx(2)
    assert gain.standard_error == pytest.approx(math.sqrt(differences.var(ddof=1) * (1 / 8 + 1 / 4)))
    assert gain.is_beyond_noise
    assert compare_trials(other, base).points == pytest.approx(-2)
    assert not compare_trials(other, base).is_beyond_noise


def test_the_standard_error_is_about_the_one_of_other_draws_of_the_data() -> None:
    """Gains of twelve columns over six, on many data sets of one kind: their spread is what is estimated."""
    gains = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        y = np.arange(60) % 2
        X = random.normal(size=(60, 12)).astype(np.float32)
        X += 0.35 * y[:, None].astype(np.float32)
        rows = LabelledRows(y, np.arange(60))
        half = cross_validate_repeatedly(X[:, :6], rows, ["svm"], 1)["svm"]
        whole = cross_validate_repeatedly(X, rows, ["svm"], 1)["svm"]
        gains.append(compare_trials(half, whole))
    spread = np.std([gain.points for gain in gains], ddof=1)
    estimated = np.sqrt(np.mean([gain.standard_error**2 for gain in gains]))
    assert 0.55 < estimated / spread < 1.8


def test_too_few_folds_tell_nothing() -> None:
    assert compare_trials(trial_of([0.5], 1), trial_of([0.9], 1)) == Gain(pytest.approx(40), math.inf)


def test_folds_that_do_not_define_the_figure_are_left_out() -> None:
    base = trial_of([0, 0, 0], figures=[0.5, np.nan, 0.6])
    other = trial_of([1, 1, 1], figures=[0.6, 0.9, 0.8])
    gain = compare_trials(base, other)
    assert gain.points == pytest.approx(15)
    assert other.rate == pytest.approx(np.mean([0.6, 0.9, 0.8]))
    assert base.rate == pytest.approx(0.55)
