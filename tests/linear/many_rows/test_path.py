"""Folds side by side: as many as there are threads and memory for, with the results of one after another."""

from __future__ import annotations

import numpy as np
import pytest

from featx.linear.many_rows import path as module
from featx.linear.many_rows.path import PathRows, PathSetting, gather_rows, list_between, map_folds, open_fold
from featx.linear.val_scores import stack_scores
from featx.types import Fold

FOLDS: list[Fold] = [(np.delete(np.arange(600), part), part) for part in np.split(np.arange(600), 5)]


@pytest.fixture(scope="module")
def rows() -> PathRows:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 4, 600)
    return gather_rows((draw.normal(size=(600, 20)) + draw.normal(size=(4, 20))[y]).astype(np.float32), y)


def test_folds_share_the_threads(rows: PathRows, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(fold: Fold, setting: PathSetting) -> tuple[int, int]:
        return int(fold[1][0]), setting.threads

    assert map_folds(count, FOLDS, rows, PathSetting("svm", 3)) == [(120 * place, 1) for place in range(5)]
    assert map_folds(count, FOLDS, rows, PathSetting("svm", 11)) == [(120 * place, 2) for place in range(5)]
    assert map_folds(count, FOLDS, rows, PathSetting("svm", 1)) == [(120 * place, 1) for place in range(5)]
    monkeypatch.setattr(module, "FOLDS_BYTES", 1000)
    assert map_folds(count, FOLDS, rows, PathSetting("svm", 3)) == [(120 * place, 3) for place in range(5)]


@pytest.mark.parametrize("kind", ["logreg", "svm"])
def test_folds_side_by_side_give_the_numbers_of_one_after_another(kind: str, rows: PathRows) -> None:
    def score(fold: Fold, setting: PathSetting) -> tuple[float, ...]:
        path = open_fold(rows, fold, setting)
        return tuple(stack_scores([path.score(c) for c in (0.01, 1.0)]).accuracy)

    alone = map_folds(score, FOLDS, rows, PathSetting(kind, 1))
    assert map_folds(score, FOLDS, rows, PathSetting(kind, 4)) == alone


def test_an_error_in_a_fold_is_raised(rows: PathRows) -> None:
    def fail(fold: Fold, setting: PathSetting) -> None:
        raise KeyError(int(fold[1][0]))

    with pytest.raises(KeyError, match="0"):
        map_folds(fail, FOLDS, rows, PathSetting("svm", 2))


def test_values_between_rise_by_equal_factors_of_ten_at_most() -> None:
    assert list_between(0.1, 100.0) == pytest.approx([1.0, 10.0])
    assert list_between(0.1, 1.0) == []
    assert list_between(0.1, 2.0) == pytest.approx([0.1 * 20**0.5])
    assert list_between(1.0, 0.001) == []
