"""Nearest neighbours are scikit-learn's by cosine, and a picture votes once, however many views of it there are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from featx.classifiers.figures import Criterion
from featx.classifiers.knn import fit_neighbours, search_neighbours
from featx.errors import DataError
from featx.features.splits import make_folds


def clouds(n: int = 150, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    y = np.arange(n) % classes
    return (random.normal(size=(classes, 10))[y] + random.normal(size=(n, 10))).astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("k", [1, 5, 15])
def test_votes_are_those_of_scikit_learns_neighbours_by_cosine(k: int, classes: int) -> None:
    X, y = clouds(classes=classes)
    train, test = slice(0, 100), slice(100, 150)
    scaler = StandardScaler().fit(X[train].astype(np.float64))
    reference = KNeighborsClassifier(k, metric="cosine").fit(scaler.transform(X[train]), y[train])
    model = fit_neighbours(X[train], y[train], k=k)
    (shares,) = model.count_votes(X[test], [k])
    expected = reference.predict_proba(scaler.transform(X[test]))
    added = (k * expected + 0.05) / (k + 0.05 * classes)
    assert shares == pytest.approx(added, abs=1e-4)
    if classes == 2:
        assert model.predict(X[test]).tolist() == reference.predict(scaler.transform(X[test])).tolist()


def test_the_cross_validated_accuracy_is_scikit_learns() -> None:
    X, y = clouds(classes=2)
    folds = make_folds(y, np.arange(len(y)), 42)
    fitted = search_neighbours([7], X, y, folds)
    accuracies = []
    for train, val in folds:
        scaler = StandardScaler().fit(X[train].astype(np.float64))
        reference = KNeighborsClassifier(7, metric="cosine").fit(scaler.transform(X[train]), y[train])
        accuracies.append(reference.score(scaler.transform(X[val]), y[val]))
    assert fitted.cv_accuracy == pytest.approx(np.mean(accuracies))
    assert fitted.params == {"k": 7}


def test_views_of_a_picture_have_one_vote() -> None:
    X, y = clouds()
    once = fit_neighbours(X, y, k=9)
    thrice = fit_neighbours(np.concatenate([X, X, X]), np.tile(y, 3), views=3, k=9)
    queries = X + 0.1
    assert thrice.count_votes(queries, [9])[0] == pytest.approx(once.count_votes(queries, [9])[0])
    assert len(thrice.labels) == len(y)


def test_as_many_vote_as_the_smallest_fold_has_pictures_at_most() -> None:
    X, y = clouds(12)
    folds = make_folds(y, np.arange(12), 42)
    fitted = search_neighbours([1, 3, 5, 31, 101], X, y, folds)
    assert fitted.params["k"] <= min(len(train) for train, _ in folds)


def test_the_number_of_neighbours_is_chosen_by_the_figure_that_is_asked_for() -> None:
    random = np.random.default_rng(1)
    y = (random.random(200) < 0.5).astype(int)
    X = (0.8 * y[:, None] + random.normal(size=(200, 4))).astype(np.float32)
    folds = make_folds(y, np.arange(200), 42)
    by_loss = search_neighbours([1, 9, 31], X, y, folds, criterion=Criterion("log_loss"))
    assert by_loss.params["k"] > 1
    assert by_loss.cv_merit is not None
    assert by_loss.cv_merit < 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    X, y = clouds()
    X[3, 2] = value
    with pytest.raises(DataError, match="NaN or inf"):
        fit_neighbours(X, y)


def test_constant_features_are_no_trouble() -> None:
    _, y = clouds()
    model = fit_neighbours(np.ones((150, 10), np.float32), y, k=5)
    assert len(model.predict(np.ones((4, 10), np.float32))) == 4
