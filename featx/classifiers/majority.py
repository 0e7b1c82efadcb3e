"""The most frequent class, whatever the features say: the row that any other must beat."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.choice import Fitted, average_folds
from featx.classifiers.figures import Criterion
from featx.linear.fit import LinearModel, require_classes
from featx.linear.spaces import encode_labels
from featx.linear.weighting import UNWEIGHTED, Weighting, take_positive
from featx.types import Fold


def fit_majority(y: NDArray[np.intp], length: int, row_weights: NDArray[np.float64] | None = None) -> LinearModel:
    """Make a linear classifier without weights, whose probabilities are the shares of the classes.

    Parameters
    ----------
    y : (n,) int
    length : int
        Numbers in a feature.
    row_weights : (n,) float64, optional
        How often each row counts, positive.

    Raises
    ------
    DataError
        If there is only one class.
    """
    targets = require_classes(encode_labels(y))
    count = len(y) if row_weights is None else row_weights.sum()
    logs = np.log(np.bincount(targets.codes, row_weights) / count)
    intercept = logs if targets.n_scores > 1 else logs[1:] - logs[:1]
    return LinearModel(
        kind="dummy",
        classes=targets.classes,
        mean=np.zeros(length),
        scale=np.ones(length),
        weights=np.zeros((targets.n_scores, length)),
        intercept=intercept,
        n_iter=0,
    )


def search_majority(
    y: NDArray[np.intp],
    length: int,
    folds: Sequence[Fold],
    criterion: Criterion | None = None,
    weighting: Weighting = UNWEIGHTED,
) -> Fitted:
    """Score the most frequent class of each fold, and take that of all rows; there is nothing to choose.

    Rows count as often as their weights say. Weights of classes change nothing: they say what errors cost, not how
    frequent a class is.
    """
    started = time.perf_counter()
    accuracies = []
    merits = []
    for train, val in folds:
        train = take_positive(train, weighting)
        model = fit_majority(y[train], 1, weighting.take(train).rows)
        truth = y[val if val.ndim == 1 else val[:, 0]]
        scores = np.repeat(model.intercept[:, None], len(truth), axis=1)
        accuracies.append(float((model.predict(np.zeros((len(truth), 1))) == truth).mean()))
        if criterion:
            merits.append([criterion.rate_scores(model.kind, scores, model.classes, truth)])
    merit = float(average_folds(np.array(merits))[0]) if criterion else None
    rows = take_positive(np.arange(len(y)), weighting)
    model = fit_majority(y[rows], length, weighting.take(rows).rows)
    return Fitted(model, {}, float(np.mean(accuracies)), time.perf_counter() - started, merit)
