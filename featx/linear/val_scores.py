"""How classifiers score on the validation rows of a fold, whatever solved them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from featx.linear.fit import choose_codes
from featx.linear.lapack import Array, to_numpy
from featx.linear.spaces import Space, Targets
from featx.linear.weighting import UNWEIGHTED_ROWS, ValWeights, average_weighted

# Rates scores (k, m) of validation rows, the greatest best: takes kind of classifier, scores, classes, truth, weights.
Merit: TypeAlias = Callable[[str, NDArray[np.float64], NDArray[Any], NDArray[Any], ValWeights], float]

# Scores of each C, where there are any.
MaybeRates: TypeAlias = NDArray[np.float64] | None


class CVScores(NamedTuple):
    """Validation scores of each C, in the order asked for; a row for each fold where folds are joined.

    Attributes
    ----------
    accuracy : (..., number of C) float64
        Share of the validation rows that are classified correctly.
    loss : (..., number of C) float64
        Mean log-loss of the softmax of the scores. For the SVM, whose scores are not log-odds, it means nothing by
        itself. Where training is weighted the mean is, too: rows by their weights and those of their classes.
    merit : (..., number of C) float64 or None
        What a merit that was asked for gave, not weighted.
    weighted_accuracy : (..., number of C) float64 or None
        The share of these weights that is classified correctly; None where training is not weighted.
    weighted_merit : (..., number of C) float64 or None
        The merit, weighted likewise.
    """

    accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]
    merit: NDArray[np.float64] | None = None
    weighted_accuracy: NDArray[np.float64] | None = None
    weighted_merit: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class PreparedFold:
    """One fold, scaled and rotated by what its training rows say.

    Attributes
    ----------
    space : Space
        The training rows.
    targets : Targets
        Their labels.
    coordinates : (m, r) or (m v, r) float64
        The validation rows in the coordinates of the space.
    shape : (m,) or (m, v)
        v rows are views of one image, whose scores are averaged.
    truth : (m,) any dtype
        Labels of the validation rows, or images.
    val_weights : ValWeights
        How much each of them counts.
    """

    space: Space
    targets: Targets
    coordinates: Array
    shape: tuple[int, ...]
    truth: NDArray[Any]
    val_weights: ValWeights = UNWEIGHTED_ROWS

    def scores(self, weights: Array) -> NDArray[np.float64]:
        """Score the validation rows by weights (k, r + 1), views averaged: (k, m)."""
        scores = to_numpy(weights[:, :-1] @ self.coordinates.T + weights[:, -1:])
        scores = scores.reshape(len(scores), *self.shape)
        return scores.mean(-1) if len(self.shape) > 1 else scores


def score_weights(fold: PreparedFold, kind: str, weights: Array, merit: Merit | None = None) -> CVScores:
    """Score the validation rows by weights (k, r + 1) of a classifier at one C: numbers, as arrays of no axis."""
    classes = fold.targets.classes
    scores = fold.scores(weights)
    prices = fold.val_weights.prices
    is_right = classes[choose_codes(scores)] == fold.truth
    is_weighted = prices is not None
    weighted_merit = None
    if merit and is_weighted:
        weighted_merit = np.array(merit(kind, scores, classes, fold.truth, fold.val_weights))
    return CVScores(
        np.array(np.mean(is_right)),
        np.array(log_loss(scores, classes, fold.truth, prices)),
        np.array(merit(kind, scores, classes, fold.truth, UNWEIGHTED_ROWS)) if merit else None,
        np.array(average_weighted(is_right, prices)) if is_weighted else None,
        weighted_merit,
    )


def log_loss(
    scores: NDArray[np.float64],
    classes: NDArray[Any],
    truth: NDArray[Any],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Average minus the logarithm of the true class's probability; rows of classes not trained on are left out.

    Scikit-learn's `log_loss` takes probabilities instead of scores, which round to 0 and 1, and needs every class.

    Parameters
    ----------
    scores : (k, m) or, where there are two classes, (1, m) float64
    classes : (k,) sorted
    truth : (m,)
    weights : (m,) float64, optional
        What the rows are averaged with.
    """
    is_trained = np.isin(truth, classes)
    if not is_trained.any():
        return 0.0
    scores = scores[:, is_trained]
    codes = np.searchsorted(classes, truth[is_trained])
    if len(scores) == 1:
        scores = np.vstack([np.zeros_like(scores), scores])
    losses = logsumexp(scores, axis=0) - scores[codes, np.arange(len(codes))]
    return average_weighted(losses, None if weights is None else weights[is_trained])


def stack_scores(parts: Sequence[CVScores]) -> CVScores:
    """Stack scores along a new first axis: those of values of C, or of folds."""
    accuracy, loss, merit, weighted_accuracy, weighted_merit = zip(*parts, strict=True)
    return CVScores(
        np.stack(accuracy),
        np.stack(loss),
        _stack_given(merit, merit),
        _stack_given(weighted_accuracy, accuracy),
        _stack_given(weighted_merit, merit),
    )


def _stack_given(weighted: Sequence[MaybeRates], plain: Sequence[MaybeRates]) -> MaybeRates:
    """Stack the weighted scores of folds; None where there are none."""
    if all(scores is None for scores in weighted):
        return None
    # "balanced" changes nothing in a fold whose classes are equally large.
    filled = [other if scores is None else scores for scores, other in zip(weighted, plain, strict=True)]
    return np.stack([scores for scores in filled if scores is not None])
