"""Going through the rows in passes chooses and fits as having them in memory does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import load_digits

from featx.classifiers.search import search
from featx.classifiers.search_out_of_core import Passes, search_out_of_core
from featx.classifiers.to_arrays import as_classifier
from featx.errors import RequestError
from featx.features.splits import make_folds


def shelf(X: np.ndarray, seen: list[int] | None = None) -> Callable[[np.ndarray], np.ndarray]:
    def read(rows: np.ndarray) -> np.ndarray:
        if seen is not None:
            seen.append(len(rows))
        return X[rows]

    return read


@pytest.mark.parametrize("name", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [10, 2])
def test_held_out_accuracy_is_within_half_a_point_of_the_way_in_memory(name: str, classes: int) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X.astype(np.float32)[y < classes], y[y < classes]
    train, test = np.arange(len(y)) % 4 > 0, np.arange(len(y)) % 4 == 0
    folds = make_folds(y[train], np.flatnonzero(train), 42)
    seen: list[int] = []
    ((fitted, streamed),) = search_out_of_core(
        [name], Passes(shelf(X, seen), np.flatnonzero(train), 200), y[train], folds[0]
    ).values()
    assert max(seen) == 200, "no more than a block is read at a time"
    kept = as_classifier(search([name], X[train], y[train], folds, 42)[name].model, 1.0)
    accuracies = [float(np.mean(one.predict(X[test])[0] == y[test])) for one in (streamed, kept)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.005)
    assert fitted.cv_accuracy == pytest.approx(accuracies[1], abs=0.03)


def test_margins_of_the_svm_become_probabilities_that_mean_something() -> None:
    X, y = load_digits(return_X_y=True)
    y = np.where(np.random.default_rng(0).random(len(y)) < 0.2, np.random.default_rng(1).integers(0, 10, len(y)), y)
    folds = make_folds(y, np.arange(len(y)), 42)
    ((_, model),) = search_out_of_core(
        ["svm"], Passes(shelf(X.astype(np.float32)), np.arange(len(y)), 500), y, folds[0]
    ).values()
    shares = model.predict(X.astype(np.float32))[1]
    assert shares.max(axis=1).mean() == pytest.approx(0.8, abs=0.1)


def test_views_of_an_image_are_averaged_where_they_are_judged() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X.astype(np.float32)[:600], y[:600]
    both = np.concatenate([X, X + 1])
    folds = make_folds(y, np.arange(600), 42)
    learned, judged = folds[0]
    fold = np.concatenate([learned, learned + 600]), judged[:, None] + 600 * np.arange(2)
    ((fitted, _),) = search_out_of_core(
        ["logreg"], Passes(shelf(both), np.arange(1200), 100), np.tile(y, 2), fold
    ).values()
    assert fitted.cv_accuracy > 0.9


def test_a_classifier_that_needs_all_rows_is_refused() -> None:
    with pytest.raises(RequestError, match="'mlp' needs all features in memory, which --memory does not allow"):
        search_out_of_core(
            ["mlp"], Passes(shelf(np.ones((4, 2))), np.arange(4), 2), np.arange(4) % 2, (np.arange(4),) * 2
        )
