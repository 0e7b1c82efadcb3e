"""Cross-validation of linear classifiers: a fold is factorised once, for every C and every classifier.

On many rows, folds are solved by passes over blocks of rows (`many_rows`), one after another on all cores.

Where rows outnumber columns, all folds use the eigenvectors of all rows. A rotation changes no solution, it only helps
to find it, and eigenvectors of the fold's training rows help no more (measured: as many steps) but take longest of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from joblib import Parallel, delayed

from featx.linear.fit import require_classes, solve_path
from featx.linear.lapack import Array, cast, one_thread, require_finite, send_like, to_numpy
from featx.linear.many_rows.cost import Problem, count_threads, has_many_rows
from featx.linear.many_rows.path import PathSetting, gather_rows, map_folds, open_fold
from featx.linear.options import ROUGH, SolverOptions
from featx.linear.spaces import (
    PARETO,
    build_column_space,
    build_row_space,
    compute_column_basis,
    compute_gram,
    encode_labels,
    fit_scaling,
    prefers_rows,
)
from featx.linear.val_scores import CVScores, Merit, PreparedFold, score_weights, stack_scores
from featx.linear.weighting import (
    WeightedLabels,
    require_weights,
    split_labels,
    take_positive,
    weigh_targets,
    weigh_val_rows,
)
from featx.types import Fold

# The values of C to try, by kind of classifier ("logreg", "svm").
Grid: TypeAlias = Mapping[str, Sequence[float]]

# Multiplications in one product of all rows and classes, below which folds in threads only wait for Python.
WORTH_THREADS = 8e6


@dataclass(frozen=True)
class Scoring:
    """What is scored in cross-validation, and how.

    Attributes
    ----------
    grid : mapping of str to sequence of float
        Values of C by kind.
    power : float
        How columns are scaled, see `compute_scale`.
    merit : callable, optional
        A further figure to be computed.
    """

    grid: Grid
    power: float = PARETO
    merit: Merit | None = None


def prepare_fold(
    x: Array, labels: Array | WeightedLabels, fold: Fold, basis: Array | None = None, power: float = PARETO
) -> PreparedFold:
    """Scale and rotate the rows of one fold; everything is fitted on its training rows.

    Parameters
    ----------
    x : (n, d) float32 or float64
        A numpy array, or a torch tensor on any device.
    labels : (n,) any dtype, or WeightedLabels
    fold : pair of (n,) int64, and (m,) or (m, v) int64
        Training rows and validation rows.
    basis : (d, d) float32, optional
        From `compute_column_basis`, where folds share it.
    power : float
        How columns are scaled, see `compute_scale`.

    Raises
    ------
    DataError
        If the training rows have one class only.
    """
    labels, weighting = split_labels(labels)
    labels = to_numpy(labels)
    train, val = (np.asarray(rows) for rows in fold)
    train = take_positive(train, weighting)
    row_weights = weighting.take(train).rows
    val_rows = val.reshape(-1)
    images = val if val.ndim == 1 else val[:, 0]
    targets = weigh_targets(require_classes(encode_labels(labels[train])), weighting, row_weights)
    scaling = fit_scaling(x[train], power, row_weights)
    counted = None if row_weights is None else send_like(row_weights, x, "float64")
    if prefers_rows(len(train), x.shape[1]):
        # One symmetric product of all rows costs what the two blocks cost, and x is never copied.
        gram = compute_gram(x[np.concatenate([train, val_rows])], scaling)
        space = build_row_space(gram[: len(train), : len(train)], counted)
        coordinates = gram[len(train) :, : len(train)] @ space.basis
    else:
        space = build_column_space(scaling.apply(x[train], "float32"), basis, counted)
        coordinates = cast(scaling.apply(x[val_rows], "float32") @ space.basis, "float64")
    val_weights = weigh_val_rows(targets, labels[images], weighting.take(images).rows)
    return PreparedFold(space, targets, coordinates, val.shape, labels[images], val_weights)


def score_fold(
    fold: PreparedFold, grid: Grid, options: SolverOptions = ROUGH, merit: Merit | None = None
) -> dict[str, CVScores]:
    """Train on one part of the rows and score the other, for every classifier and C.

    Raises
    ------
    UnknownName, RequestError
        If the grid names an unknown classifier, or a C that is not positive.
    """
    scores_by_kind = {}
    for kind, values in grid.items():
        rising = np.argsort(values, kind="stable")
        points = solve_path(kind, fold.space, fold.targets, [values[place] for place in rising], options)
        scored = [score_weights(fold, kind, point.weights, merit) for point in points]
        in_order = [scored[place] for place in np.argsort(rising, kind="stable")]
        scores_by_kind[kind] = stack_scores(in_order)
    return scores_by_kind


def cross_validate(
    x: Array,
    labels: Array | WeightedLabels,
    folds: Sequence[Fold],
    grid: Grid,
    jobs: int | None = None,
    power: float = PARETO,
) -> dict[str, CVScores]:
    """Score every classifier and C on every fold.

    Parameters
    ----------
    x : (n, d) float32 or float64
    labels : (n,) any dtype, or WeightedLabels
        Weights count in training and in the scores that are to choose.
    folds : sequence of pairs of (n,) int64, and (m,) or (m, v) int64
        Training rows and validation rows; v rows are views of one image, whose scores are averaged.
    grid : mapping of str to sequence of float
        Values of C by kind, such as ``{"logreg": [0.1, 1.0], "svm": [0.01]}``.
    jobs : int, optional
        Folds at a time, in threads; where not given, what a surrounding `joblib.parallel_config` says, else one.
        Small folds are done one after another in any case.
    power : float
        How columns are scaled, see `compute_scale`.

    Returns
    -------
    dict of str to CVScores
        Arrays of (number of folds, number of C).

    Raises
    ------
    DataError
        If x holds NaN or infinity, the training rows of a fold have only one class, or a weight of a row is negative or
        not finite.
    UnknownName, RequestError
        If the grid names an unknown classifier, or a C or the weight of a class that is not positive.
    """
    return score_folds(x, labels, folds, Scoring(grid, power), jobs)


def score_folds(
    x: Array,
    labels: Array | WeightedLabels,
    folds: Sequence[Fold],
    scoring: Scoring,
    jobs: int | None = None,
) -> dict[str, CVScores]:
    """Score what is asked for on every fold, as `cross_validate` does and with its errors."""
    require_finite(x)
    plain_labels, weighting = split_labels(labels)
    if weighting.rows is not None:
        require_weights(weighting.rows, len(x))
    if len(x) * min(x.shape) * len(np.unique(to_numpy(plain_labels))) < WORTH_THREADS:
        jobs = 1
    classes = len(np.unique(to_numpy(plain_labels)))
    if has_many_rows(min(len(train) for train, _ in folds), x.shape[1], Problem.count_scores(classes)):
        return _score_many_rows(x, labels, folds, scoring, count_threads(jobs))
    needs_basis = any(not prefers_rows(len(train), x.shape[1]) for train, _ in folds)
    with one_thread():
        basis = compute_column_basis(x, fit_scaling(x, scoring.power)) if needs_basis else None
        fold_scores = Parallel(n_jobs=jobs, prefer="threads")(
            delayed(_prepare_and_score)(x, labels, fold, scoring, basis) for fold in folds
        )
    return {kind: stack_scores([scores[kind] for scores in fold_scores]) for kind in scoring.grid}


def _score_many_rows(
    x: Array, labels: Array | WeightedLabels, folds: Sequence[Fold], scoring: Scoring, threads: int
) -> dict[str, CVScores]:
    """Score folds, each by passes over its rows."""
    rows = gather_rows(x, labels, scoring.power, threads)
    scores_by_kind = {}
    for kind, values in scoring.grid.items():

        def score(fold: Fold, setting: PathSetting, values: Sequence[float] = values) -> CVScores:
            path = open_fold(rows, fold, setting)
            scores = {c: path.score(float(c)) for c in sorted(values)}
            return stack_scores([scores[c] for c in values])

        setting = PathSetting(kind, threads, scoring.power, scoring.merit)
        scores_by_kind[kind] = stack_scores(map_folds(score, folds, rows, setting))
    return scores_by_kind


def _prepare_and_score(
    x: Array, labels: Array | WeightedLabels, fold: Fold, scoring: Scoring, basis: Array | None
) -> dict[str, CVScores]:
    prepared = prepare_fold(x, labels, fold, basis, scoring.power)
    return score_fold(prepared, scoring.grid, merit=scoring.merit)
