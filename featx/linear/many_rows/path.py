"""Values of C on one fold of many rows, in whatever order they are asked for, each from the nearest one before."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from featx.linear.fit import require_classes, require_positive
from featx.linear.lapack import Array, cast, one_thread, to_numpy
from featx.linear.many_rows.blocks import ManyRows, prepare_rows
from featx.linear.many_rows.newton import Effort, Guess, solve_rows
from featx.linear.options import SEARCH, SolverOptions, Start
from featx.linear.spaces import PARETO, Space, compute_column_basis, encode_labels, fit_scaling
from featx.linear.val_scores import CVScores, Merit, PreparedFold, score_weights
from featx.linear.weighting import WeightedLabels, split_labels, take_positive, weigh_targets, weigh_val_rows
from featx.types import Fold

R = TypeVar("R")

FOLDS_BYTES = 2**29
"""Memory that several folds may take at a time: beyond it, all threads share one."""

FOLD_COPIES = 3
"""Copies of the training rows, in float32, that a fold takes: the rows, their coordinates, and what passes leave."""

LARGEST_STEP = 10.0
"""A larger C is reached sooner by way of others than in one step that is larger than this (measured on 30,000 x 512 and
10 classes, from 0.1 to 100: half of the time). The SVM gains nothing by it."""

ROWS_A_COLUMN = 10
"""Fewer rows for each column are told apart at a small C already, and no larger one is far from it."""

WARM_TOLERANCE = 1e-2
"""How rough the solutions on the way may be."""

ROUNDING = 1e-6
"""Steps of a grid of tens are tens, whatever their logarithms say in the last digits."""

EXTRAPOLATION = 0.8
"""How much of the last change of the weights along C is expected once more (measured: a fifth fewer passes)."""


@dataclass(frozen=True)
class PathSetting:
    """What all folds of a path share.

    Attributes
    ----------
    kind : str
        "logreg" or "svm".
    threads : int
    power : float
        How columns are scaled, see `compute_scale`.
    merit : callable, optional
        A further figure to be computed.
    options : SolverOptions
    """

    kind: str
    threads: int
    power: float = PARETO
    merit: Merit | None = None
    options: SolverOptions = SEARCH


@dataclass(frozen=True)
class PathRows:
    """The rows of all folds.

    Attributes
    ----------
    x : (n, d) float32 or float64
        A numpy array, or a torch tensor on any device.
    labels : (n,) any dtype, or WeightedLabels
    basis : (d, d) float32
        From `compute_column_basis` of all rows.
    """

    x: Array
    labels: Array | WeightedLabels
    basis: Array


@dataclass
class FoldPath:
    """One fold, and what was solved on it so far.

    Attributes
    ----------
    setting : PathSetting
    rows : ManyRows
        The training rows.
    fold : PreparedFold
        The validation rows.
    effort : Effort
    solved : dict of float to (k, r + 1) float64
        Weights on coordinates by C.
    moments : (k, r + 1, r + 1) float32 or None
        What preconditioned last, see `sum_moments`.

    Notes
    -----
    Nothing begins from what another fold has solved: that was trained on the rows which validate here. Where columns
    suffice to tell all rows apart a large C ends before the start is forgotten, and labels that mean nothing were
    "predicted" without a mistake.
    """

    setting: PathSetting
    rows: ManyRows
    fold: PreparedFold
    effort: Effort
    solved: dict[float, Array] = field(default_factory=dict)
    moments: Array | None = None

    def score(self, c: float) -> CVScores:
        """Solve for a C, and score the validation rows: numbers, as arrays of no axis.

        Raises
        ------
        RequestError
            If C is not positive and finite.
        """
        require_positive([c])
        setting = self.setting
        with one_thread():
            guess = self._approach(c)
            solution = solve_rows(self.rows, float(c), guess, setting.options, self.effort)
            self.solved[c] = solution.weights
            self.moments = solution.moments
            return score_weights(self.fold, setting.kind, solution.weights, setting.merit)

    def list_starts(self) -> dict[float, Start]:
        """Give what was solved as something that the fit of all rows may begin from, by C."""
        return {c: self.rows.to_start(weights) for c, weights in self.solved.items()}

    def _approach(self, c: float) -> Guess:
        """Start from the nearest C; of a softmax, where that is far below, by way of rough solutions between them."""
        nearest = min(self.solved, key=lambda other: abs(math.log(other / c)), default=c)
        n, columns = self.rows.z.shape
        pays = self.rows.coupled and n >= ROWS_A_COLUMN * columns
        between = list_between(nearest, c) if pays else []
        guess = Guess(self.solved[nearest] if between else self._extrapolate(c), self.moments)
        rough = replace(self.setting.options, tolerance=WARM_TOLERANCE)
        for value in between:
            solution = solve_rows(self.rows, value, guess, rough, self.effort)
            guess = Guess(solution.weights, solution.moments)
        return guess

    def _extrapolate(self, c: float) -> Array:
        """Start from the nearest C, moved on by most of the way that weights went to there from the one before."""
        if not self.solved:
            return self.rows.zeros()
        by_distance = sorted(self.solved, key=lambda other: abs(math.log(other / c)))
        nearest = by_distance[0]
        weights = self.solved[nearest]
        if len(by_distance) == 1 or (by_distance[1] - nearest) * (nearest - c) <= 0:
            return weights
        step = math.log(c / nearest) / math.log(nearest / by_distance[1])
        return weights + EXTRAPOLATION * min(step, 1.0) * (weights - self.solved[by_distance[1]])


def list_between(low: float, high: float) -> list[float]:
    """List values of C between two others, rising by equal factors of no more than `LARGEST_STEP`."""
    steps = math.ceil(math.log(high / low) / math.log(LARGEST_STEP) - ROUNDING)
    return [low * (high / low) ** (step / steps) for step in range(1, steps)]


def map_folds(
    function: Callable[[Fold, PathSetting], R], folds: Sequence[Fold], gathered: PathRows, setting: PathSetting
) -> list[R]:
    """Call a function on folds, as many at a time as there are threads, if memory allows it; give what it returns.

    Much of a fold is done by one thread: its scaling, its preconditioner, its scores. Results do not depend on it.

    Parameters
    ----------
    function : callable
        Called with a fold and a setting that says how many threads the fold may use.
    folds : sequence of pairs of (n,) int64, and (m,) or (m, v) int64
    gathered : PathRows
        What the folds are of; on a device they are done one after another.
    setting : PathSetting
    """
    largest = max((len(train) for train, _ in folds), default=0)
    room = FOLDS_BYTES // max(1, FOLD_COPIES * 4 * largest * gathered.x.shape[1])
    at_a_time = min(len(folds), setting.threads, room) if isinstance(gathered.x, np.ndarray) else 1
    if at_a_time < 2:
        return [function(fold, setting) for fold in folds]
    alone = replace(setting, threads=setting.threads // at_a_time)
    with ThreadPoolExecutor(at_a_time) as pool:
        try:
            return list(pool.map(lambda fold: function(fold, alone), folds))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def gather_rows(x: Array, labels: Array | WeightedLabels, power: float = PARETO, threads: int = 1) -> PathRows:
    """Find the coordinates that all folds share, parameters as of `PathRows`."""
    with one_thread():
        scaling = fit_scaling(x, power, threads=threads)
        return PathRows(x, labels, compute_column_basis(x, scaling, threads))


def open_fold(
    gathered: PathRows,
    fold: Fold,
    setting: PathSetting,
    effort: Effort | None = None,
) -> FoldPath:
    """Scale and rotate the rows of one fold; all but the basis is fitted on its training rows.

    Parameters
    ----------
    gathered : PathRows
    fold : pair of (n,) int64, and (m,) or (m, v) int64
        Training rows and validation rows.
    setting : PathSetting
    effort : Effort, optional

    Raises
    ------
    DataError
        If the training rows have one class only.
    """
    x = gathered.x
    basis = gathered.basis
    labels, weighting = split_labels(gathered.labels)
    labels = to_numpy(labels)
    train, val = (np.asarray(rows) for rows in fold)
    train = take_positive(train, weighting)
    row_weights = weighting.take(train).rows
    images = val if val.ndim == 1 else val[:, 0]
    targets = weigh_targets(require_classes(encode_labels(labels[train])), weighting, row_weights)
    of_train = x[train]
    with one_thread():
        scaling = fit_scaling(of_train, setting.power, row_weights, setting.threads)
        rows = prepare_rows(setting.kind, of_train, targets, scaling, basis, setting.threads)
        coordinates = cast(scaling.apply(x[val.reshape(-1)], "float32") @ basis, "float64")
    space = Space(rows.z[:, :-1], rows.squares[:-1], basis)
    val_weights = weigh_val_rows(targets, labels[images], weighting.take(images).rows)
    prepared = PreparedFold(space, targets, coordinates, val.shape, labels[images], val_weights)
    return FoldPath(setting, rows, prepared, effort or Effort())
