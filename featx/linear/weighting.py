"""How much rows and classes count: what scikit-learn calls `sample_weight` and `class_weight`.

A row's weight says how often it counts: 2 is the row twice, 0 is a row that is not there. So it enters whatever is
measured on rows: means and deviations of columns, frequencies of classes, and the loss. A class's weight is the price
of an error on it, and enters the loss alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, RequestError
from featx.linear.lapack import Array, to_numpy
from featx.linear.spaces import Targets

ClassWeights: TypeAlias = Literal["balanced"] | Mapping[Any, float]
"""Label to weight, 1 for labels that are not named; or "balanced": all classes have the same sum of weights."""


LEAST_WEIGHT = 1e-12
MOST_WEIGHT = 1e12
"""What a weight must lie between unless it is 0: float32, in which much is computed, holds their products."""


@dataclass(frozen=True)
class Weighting:
    """How much rows count in training.

    Attributes
    ----------
    classes : "balanced", mapping of label to float, or None
        None: all classes count alike.
    rows : (n,) float64 or None
        None: every row counts once.

    Raises
    ------
    RequestError
        If the weight of a class is not positive and finite.
    """

    classes: ClassWeights | None = None
    rows: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.classes is None or self.classes == "balanced":
            return
        if not isinstance(self.classes, Mapping):
            raise RequestError(f"class_weight = {self.classes!r}: choose 'balanced', or map labels to weights")
        if not all(LEAST_WEIGHT <= weight <= MOST_WEIGHT for weight in self.classes.values()):
            raise RequestError(
                f"class_weight = {dict(self.classes)}: every weight must be positive and finite, "
                f"from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}"
            )

    def take(self, rows: NDArray[np.intp]) -> Weighting:
        """Give the weighting of some rows."""
        return self if self.rows is None else replace(self, rows=self.rows[rows])

    def tile(self, views: int) -> Weighting:
        """Give the weighting of several views of all rows, view by view."""
        return self if self.rows is None else replace(self, rows=np.tile(self.rows, views))


UNWEIGHTED = Weighting()
"""All rows and classes count alike."""


@dataclass(frozen=True)
class WeightedLabels:
    """Labels (n,) of any dtype that sorts, and how much rows and classes count in training."""

    labels: Array
    weighting: Weighting


def split_labels(labels: Array | WeightedLabels) -> tuple[Array, Weighting]:
    """Take labels and their weighting apart; all count alike where labels come by themselves."""
    if isinstance(labels, WeightedLabels):
        return labels.labels, labels.weighting
    return labels, Weighting()


def drop_zero_rows(x: Array, labels: Array, weighting: Weighting) -> tuple[Array, Array, NDArray[np.float64] | None]:
    """Leave out rows of weight 0.

    Returns
    -------
    x : (m, d)
    labels : (m,)
    weights : (m,) float64 or None
        Positive; None where all rows count once.

    Raises
    ------
    DataError
        If weights are negative, not finite, not one a row, or all 0.
    """
    if weighting.rows is None:
        return x, labels, None
    weights = require_weights(weighting.rows, len(x))
    kept = np.flatnonzero(weights)
    if len(kept) < len(weights):
        return x[kept], to_numpy(labels)[kept], weights[kept]
    if (weights == 1).all():
        return x, labels, None
    return x, labels, weights


def require_weights(weights: Any, rows: int) -> NDArray[np.float64]:
    """Refuse weights of rows that are negative, not finite, not one a row, or all 0 with a DataError."""
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (rows,):
        raise DataError(f"there are weights of shape {weights.shape} for {rows} rows: give one weight a row")
    is_sound = (weights == 0) | ((weights >= LEAST_WEIGHT) & (weights <= MOST_WEIGHT))
    bad = np.flatnonzero(~is_sound)
    if len(bad):
        raise DataError(
            f"{len(bad)} of {rows} weights cannot be used, such as {weights[bad[0]]} of row {bad[0]}: "
            f"give 0, or numbers from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}"
        )
    if not weights.any():
        raise DataError(f"all {rows} weights are 0, so no row is left to train on: give some rows a positive weight")
    return weights


def weigh_targets(targets: Targets, weighting: Weighting, row_weights: NDArray[np.float64] | None) -> Targets:
    """Put weights beside labels, as far as they are not all 1.

    Parameters
    ----------
    targets : Targets
    weighting : Weighting
    row_weights : (n,) float64 or None
        From `drop_zero_rows`.
    """
    class_weights = compute_class_weights(weighting.classes, targets, row_weights)
    if class_weights is not None and (class_weights == 1).all():
        class_weights = None
    return replace(targets, row_weights=row_weights, class_weights=class_weights)


def compute_class_weights(
    classes: ClassWeights | None, targets: Targets, row_weights: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Give every class its weight, (k,); None where none is asked for.

    Notes
    -----
    "balanced" is scikit-learn's: n / (k n_class), rows counted by their weights (King and Zeng, 2001, Logistic
    Regression in Rare Events Data).
    """
    if classes is None:
        return None
    if classes == "balanced":
        counts = np.bincount(targets.codes, row_weights, minlength=len(targets.classes))
        return np.asarray(counts.sum() / (len(counts) * counts))
    return np.array([classes.get(label, 1.0) for label in targets.classes.tolist()], np.float64)


def weigh_rows(y: NDArray[np.generic], weighting: Weighting) -> NDArray[np.float64] | None:
    """Multiply the weights of rows and of their classes, for classifiers that take one weight a row.

    Parameters
    ----------
    y : (n,) any dtype
        Labels.
    weighting : Weighting

    Returns
    -------
    (n,) float64, or None
        None where every row counts once.
    """
    classes, codes = np.unique(y, return_inverse=True)
    rows = None if weighting.rows is None else require_weights(weighting.rows, len(y))
    targets = weigh_targets(Targets(classes, codes), weighting, rows)
    return targets.loss_weights("logreg")


def take_positive(rows: NDArray[np.intp], weighting: Weighting) -> NDArray[np.intp]:
    """Leave row numbers of weight 0 out."""
    if weighting.rows is None:
        return rows
    return rows[weighting.rows[rows] > 0]


def price_errors(
    targets: Targets, truth: NDArray[Any], row_weights: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Say what an error on each validation row costs, by its own weight and that of its class in training.

    Parameters
    ----------
    targets : Targets
        Of the training rows.
    truth : (m,) any dtype
        Labels of the validation rows; a class that is not trained on counts 1.
    row_weights : (m,) float64 or None

    Returns
    -------
    (m,) float64, or None
        None where all errors cost the same.
    """
    if targets.class_weights is None:
        return row_weights
    codes = np.searchsorted(targets.classes, truth)
    codes = np.minimum(codes, len(targets.classes) - 1)
    is_trained = targets.classes[codes] == truth
    prices = np.where(is_trained, targets.class_weights[codes], 1.0)
    return prices if row_weights is None else prices * row_weights


class ValWeights(NamedTuple):
    """How much validation rows count in what is chosen by.

    Attributes
    ----------
    rows : (m,) float64 or None
        How often each row counts; None: once.
    prices : (m,) float64 or None
        What an error on each costs, from `price_errors`; None: 1.
    """

    rows: NDArray[np.float64] | None = None
    prices: NDArray[np.float64] | None = None


UNWEIGHTED_ROWS = ValWeights()
"""All validation rows count alike."""


def weigh_val_rows(targets: Targets, truth: NDArray[Any], row_weights: NDArray[np.float64] | None) -> ValWeights:
    """Put the weights of validation rows beside the prices of their errors, as `price_errors` takes them."""
    return ValWeights(row_weights, price_errors(targets, truth, row_weights))


def average_weighted(values: NDArray[Any], weights: NDArray[np.float64] | None) -> float:
    """Average values with their weights, both (m,), or all alike; 0 where all weights are 0."""
    if weights is None:
        return float(np.mean(values))
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else 0.0
