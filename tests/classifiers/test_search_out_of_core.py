"""Reading the rows block by block chooses and fits as having them in memory does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import load_digits

from featx.classifiers.search import search
from featx.classifiers.search_out_of_core import RowBlocks, search_out_of_core
from featx.classifiers.to_arrays import as_classifier
from featx.errors import RequestError, UnknownName
from featx.features.splits import make_folds

pytestmark = pytest.mark.slow


def reader(X: np.ndarray, sizes: list[int] | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """Read rows of an array, and note how many are read at a time."""

    def read(rows: np.ndarray) -> np.ndarray:
        if sizes is not None:
            sizes.append(len(rows))
        return X[rows]

    return read


@pytest.mark.parametrize("name", ["logreg", "svm"])
@pytest.mark.parametrize("classes", [10, 2])
def test_test_accuracy_is_within_half_a_point_of_the_search_in_memory(name: str, classes: int) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X.astype(np.float32)[y < classes], y[y < classes]
    test = np.arange(len(y)) % 4 == 0
    train = ~test
    folds = make_folds(y[train], np.flatnonzero(train), 42)
    sizes: list[int] = []
    blocks = RowBlocks(reader(X, sizes), np.flatnonzero(train), 200)
    fitted, out_of_core = search_out_of_core([name], blocks, y[train], folds[0])[name]
    assert max(sizes) == 200, "no more than a block is read at a time"
    in_memory = as_classifier(search([name], X[train], y[train], folds, 42)[name].model, 1.0)
    accuracies = [float(np.mean(model.predict(X[test])[0] == y[test])) for model in (out_of_core, in_memory)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.005)
    assert fitted.cv_accuracy == pytest.approx(accuracies[1], abs=0.03)


def test_margins_of_the_svm_become_probabilities_that_mean_something() -> None:
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    is_wrong = np.random.default_rng(0).random(len(y)) < 0.2
    y = np.where(is_wrong, np.random.default_rng(1).integers(0, 10, len(y)), y)
    folds = make_folds(y, np.arange(len(y)), 42)
    _, model = search_out_of_core(["svm"], RowBlocks(reader(X), np.arange(len(y)), 500), y, folds[0])["svm"]
    _, probabilities = model.predict(X)
    assert probabilities.max(axis=1).mean() == pytest.approx(0.8, abs=0.1)


def test_views_of_an_image_are_averaged_where_they_validate() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X.astype(np.float32)[:600], y[:600]
    views = np.concatenate([X, X + 1])
    train, val = make_folds(y, np.arange(600), 42)[0]
    fold = np.concatenate([train, train + 600]), val[:, None] + 600 * np.arange(2)
    blocks = RowBlocks(reader(views), np.arange(1200), 100)
    fitted, _ = search_out_of_core(["logreg"], blocks, np.tile(y, 2), fold)["logreg"]
    assert fitted.cv_accuracy > 0.9


def test_a_classifier_that_needs_all_rows_is_refused() -> None:
    blocks = RowBlocks(reader(np.ones((4, 2))), np.arange(4), 2)
    fold = np.arange(4), np.arange(4)
    with pytest.raises(RequestError, match="'mlp' needs all features in memory, which --memory does not allow"):
        search_out_of_core(["mlp"], blocks, np.arange(4) % 2, fold)
    with pytest.raises(UnknownName, match="unknown classifier 'smv'. Did you mean 'svm'"):
        search_out_of_core(["smv"], blocks, np.arange(4) % 2, fold)
