"""Cross-validation of linear classifiers: a fold is factorised once, for every C and every classifier.

Where rows outnumber columns, all folds use the eigenvectors of all rows. A rotation changes no solution, it only helps
to find it, and eigenvectors of the fold's own rows help no more (measured: as many steps) but take longest of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import logsumexp

from featx.linear.fit import ROUGH, choose, path, require_classes
from featx.linear.lapack import Array, cast, one_thread, require_finite, to_numpy
from featx.linear.spaces import (
    PARETO,
    Space,
    column_basis,
    column_space,
    encode,
    fit_scaling,
    prefers_rows,
    products,
    row_space,
)
from featx.types import Fold

# Row numbers to train on (n,), and to test on: (m,), or (m, v) where v rows are views whose scores are averaged.
# The values of C to try, by kind of classifier ("logreg", "svm").
Grid: TypeAlias = Mapping[str, Sequence[float]]

# Multiplications in one product of all rows and classes, below which folds in threads only wait for Python.
WORTH_THREADS = 8e6


class Scored(NamedTuple):
    """What cross-validation says of each C, in the order asked for; one row a fold where folds are joined.

    Attributes
    ----------
    accuracy : (..., number of C) float64
        Share of the judged rows that are classified rightly.
    loss : (..., number of C) float64
        Mean log-loss of the softmax of the scores; for the SVM, whose scores are no log-odds, of no meaning by itself.
    """

    accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]


def score_fold(
    x: Array, labels: Any, fold: Fold, grid: Grid, basis: Array | None = None, power: float = PARETO
) -> dict[str, Scored]:
    """Train on one part of the rows and score the other, for every classifier and C.

    Parameters
    ----------
    x : (n, d) float32 or float64
        A numpy array, or a torch tensor on any device.
    labels : (n,) any dtype
    fold : pair of (n,) int64, and (m,) or (m, v) int64
    grid : mapping of str to sequence of float
    basis : (d, d) float32, optional
        From `column_basis`, where folds share it.
    power : float
        How columns are scaled, see `safe_scale`.

    Returns
    -------
    dict of str to Scored
        Scaling is fitted on the training rows.

    Raises
    ------
    DataError
        If the training rows have one class only.
    UnknownName, RequestError
        If the grid names an unknown classifier, or a C that is not positive.
    """
    labels = to_numpy(labels)
    train, test = (np.asarray(rows) for rows in fold)
    targets = require_classes(encode(labels[train]))
    space, ahead = _split(x, train, test.reshape(-1), basis, power)
    truth = labels[test if test.ndim == 1 else test[:, 0]]
    result = {}
    for kind, values in grid.items():
        ranks = np.argsort(values, kind="stable")
        scored = Scored(np.empty(len(values)), np.empty(len(values)))
        for rank, point in zip(ranks, path(kind, space, targets, [values[i] for i in ranks], ROUGH), strict=True):
            scores = to_numpy(point.weights[:, :-1] @ ahead.T + point.weights[:, -1:])
            scores = scores.reshape(len(scores), *test.shape).mean(-1) if test.ndim > 1 else scores
            scored.accuracy[rank] = np.mean(targets.classes[choose(scores)] == truth)
            scored.loss[rank] = log_loss(scores, targets.classes, truth)
        result[kind] = scored
    return result


def log_loss(scores: NDArray[np.float64], classes: NDArray[Any], truth: NDArray[Any]) -> float:
    """Average minus the logarithm of the true class's probability; rows of a class never trained on are passed over.

    Parameters
    ----------
    scores : (k, m) or, where there are two classes, (1, m) float64
    classes : (k,) sorted
    truth : (m,)
    """
    known = np.isin(truth, classes)
    if not known.any():
        return 0.0
    scores, codes = scores[:, known], np.searchsorted(classes, truth[known])
    if len(scores) == 1:
        scores = np.vstack([np.zeros_like(scores), scores])
    return float(np.mean(logsumexp(scores, axis=0) - scores[codes, np.arange(len(codes))]))


def _split(
    x: Array, train: NDArray[np.int64], test: NDArray[np.int64], basis: Array | None, power: float
) -> tuple[Space, Array]:
    """Return the space of the training rows, and the test rows in its coordinates (m, r) float64."""
    scaling = fit_scaling(x[train], power)
    if prefers_rows(len(train), x.shape[1]):
        # One symmetric product of all rows costs what the two blocks cost, and x is never copied.
        both = products(x[np.concatenate([train, test])], scaling)
        n = len(train)
        space = row_space(both[:n, :n])
        return space, both[n:, :n] @ space.basis
    space = column_space(scaling.apply(x[train], "float32"), basis)
    return space, cast(scaling.apply(x[test], "float32") @ space.basis, "float64")


def cross_validate(
    x: Array, labels: Any, folds: Sequence[Fold], grid: Grid, jobs: int | None = None, power: float = PARETO
) -> dict[str, Scored]:
    """Score every classifier and C on every fold.

    Parameters
    ----------
    x : (n, d) float32 or float64
    labels : (n,) any dtype
    folds : sequence of pairs of (n,) int64, and (m,) or (m, v) int64
        Training rows and test rows.
    grid : mapping of str to sequence of float
        Values of C by kind, such as ``{"logreg": [0.1, 1.0], "svm": [0.01]}``.
    jobs : int, optional
        Folds at a time, in threads; where not given, what a surrounding `joblib.parallel_config` says, else one.
        Small folds go one by one in any case.
    power : float
        How columns are scaled, see `safe_scale`.

    Returns
    -------
    dict of str to Scored
        Arrays of (number of folds, number of C).

    Raises
    ------
    DataError
        If x holds NaN or infinity, or a fold trains on one class only.
    """
    require_finite(x)
    if len(x) * min(x.shape) * len(np.unique(to_numpy(labels))) < WORTH_THREADS:
        jobs = 1
    shared = any(not prefers_rows(len(train), x.shape[1]) for train, _ in folds)
    with one_thread():
        basis = column_basis(x, fit_scaling(x, power)) if shared else None
        parts = Parallel(n_jobs=jobs, prefer="threads")(
            delayed(score_fold)(x, labels, fold, grid, basis, power) for fold in folds
        )
    return {kind: Scored(*map(np.stack, zip(*(part[kind] for part in parts), strict=True))) for kind in grid}
