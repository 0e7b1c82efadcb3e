"""Nearest neighbours by cosine, one vote a picture: no training, and nothing to tune but how many vote."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.choice import Fitted, average_folds, choose_middle
from featx.classifiers.figures import Criterion, average_views
from featx.linear.fit import require_classes
from featx.linear.lapack import one_thread, require_finite
from featx.linear.spaces import encode_labels, fit_scaling
from featx.models.neighbours import count_votes, find_nearest, scale_rows
from featx.types import Fold, Matrix

STANDARDISED = 1.0
"""Columns are divided by their standard deviation. Cross-validated, Pareto scaling does as well (within 0.2 points on
average over four data sets), but neighbours, unlike weights, cannot make up for columns of other units."""


@dataclass(frozen=True)
class NeighboursModel:
    """The training pictures, and how many of them vote.

    Attributes
    ----------
    classes : (c,) any dtype
    mean, scale : (d,) float64
    neighbours : (v * n, d) float32
        Rows of unit length; view v of picture i is row v * n + i.
    labels : (n,) int64
        Places in `classes`.
    k : int
    """

    classes: NDArray[np.generic]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    neighbours: NDArray[np.float32]
    labels: NDArray[np.int64]
    k: int

    def count_votes(self, X: Matrix, counts: Sequence[int]) -> list[NDArray[np.float64]]:
        """Give the shares of the votes, (m, c), of rows (m, d) for several numbers of neighbours."""
        queries = scale_rows(X, self.mean, self.scale)
        nearest = find_nearest(queries, self.neighbours, len(self.labels), counts[-1])
        return list(count_votes(nearest, self.labels, len(self.classes), counts))

    def predict(self, X: Matrix) -> NDArray[np.generic]:
        """Choose the class of each row of X (m, d)."""
        (shares,) = self.count_votes(X, [self.k])
        return self.classes[shares.argmax(axis=1)]


def fit_neighbours(X: Matrix, y: NDArray[np.intp], views: int = 1, k: int = 1) -> NeighboursModel:
    """Keep the training pictures.

    Parameters
    ----------
    X : (v * n, d) float
        View v of picture i is row v * n + i.
    y : (v * n,) int
    views : int
        v.
    k : int
        Neighbours that vote, at most n.

    Raises
    ------
    DataError
        If X holds NaN or infinity, or there is only one class.
    """
    require_finite(X)
    targets = require_classes(encode_labels(y))
    scaling = fit_scaling(X, STANDARDISED)
    labels = targets.codes[: len(y) // views]
    return NeighboursModel(
        targets.classes, scaling.mean, scaling.scale, scale_rows(X, scaling.mean, scaling.scale), labels, k
    )


def search_neighbours(
    values: Sequence[int],
    X: Matrix,
    y: NDArray[np.intp],
    folds: Sequence[Fold],
    views: int = 1,
    criterion: Criterion | None = None,
) -> Fitted:
    """Choose the number of neighbours by cross-validation; scaling is fitted inside each fold.

    Parameters
    ----------
    values : sequence of int
        Numbers to try, rising; those beyond the pictures of a fold are left out.
    X, y, views
        As `fit_neighbours` takes them.
    folds : sequence of (train rows, validation rows)
    criterion : Criterion, optional
        The figure to choose by; accuracy where not given.
    """
    started = time.perf_counter()
    fewest = min(len(train) for train, _ in folds) // views
    counts = [value for value in values if value <= fewest]
    with one_thread():
        scores = [score_neighbours(counts, X, y, fold, views, criterion) for fold in folds]
        accuracies, merits = np.array(scores).swapaxes(0, 1)
        rates = average_folds(merits)
        winner = choose_middle(rates)
        model = fit_neighbours(X, y, views, counts[winner])
    accuracy = float(accuracies.mean(axis=0)[winner])
    seconds = time.perf_counter() - started
    return Fitted(model, {"k": counts[winner]}, accuracy, seconds, float(rates[winner]) if criterion else None)


def score_neighbours(
    counts: Sequence[int],
    X: Matrix,
    y: NDArray[np.intp],
    fold: Fold,
    views: int,
    criterion: Criterion | None,
) -> tuple[list[float], list[float]]:
    """Score the validation rows of a fold for several numbers of neighbours: accuracies, and what to choose by."""
    train, val = fold
    model = fit_neighbours(X[train], y[train], views)
    truth = y[val if val.ndim == 1 else val[:, 0]]
    accuracies = []
    merits = []
    for shares in model.count_votes(X[val.reshape(-1)], counts):
        of_images = average_views(shares, val)
        accuracy = float((model.classes[of_images.argmax(axis=1)] == truth).mean())
        accuracies.append(accuracy)
        merits.append(criterion.rate(truth, model.classes, of_images) if criterion else accuracy)
    return accuracies, merits
