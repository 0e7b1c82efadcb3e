"""Figures of labels and probabilities: those of a result, and those by which hyper-parameters may be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from featx.classifiers.temperature import fit_inverse_temperature
from featx.linear.fit import choose_codes
from featx.linear.weighting import UNWEIGHTED_ROWS, ValWeights, average_weighted
from featx.requests import SelectedFigure
from featx.types import Codes

LEAST_PROBABILITY = 1e-300
"""A probability of 0 counts as this in a log-loss, which is then large and not infinite."""


MaybeWeights: TypeAlias = NDArray[np.float64] | None
"""Weights of n rows, (n,) float64 and not negative; None where all count the same."""


def balanced_accuracy(truth: Codes, predicted: Codes, weights: MaybeWeights = None) -> float:
    """Average the recall of the classes that occur; both (n,) int."""
    # Scikit-learn takes a second to import, and few figures need it.
    from sklearn.metrics import recall_score

    # Not balanced_accuracy_score, which warns of every class that is predicted and does not occur.
    occurring = np.unique(truth)
    recall = recall_score(truth, predicted, labels=occurring, average="macro", sample_weight=weights, zero_division=0)
    return float(recall)


def macro_f1(truth: Codes, predicted: Codes, weights: MaybeWeights = None) -> float:
    """Average F1 over the classes that occur in either; both (n,) int."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted, average="macro", sample_weight=weights, zero_division=0))


def rank_class(
    is_of_class: NDArray[np.bool_], scores: NDArray[np.float64], weights: MaybeWeights = None
) -> tuple[float, float]:
    """Say how well scores rank the rows of a class above all others.

    Held to scikit-learn's `roc_auc_score` and `average_precision_score` by the tests. Those take a millisecond a class,
    which for a hundred classes is as long as all else that evaluates a classifier.

    Parameters
    ----------
    is_of_class : (n,) bool
    scores : (n,) float64
    weights : (n,) float64, optional

    Returns
    -------
    roc_auc : float
        Area under the ROC curve; NaN where all rows are of the class, or none.
    average_precision : float
        NaN where none is.
    """
    # Whole numbers where all rows count once, so that no sum is rounded.
    counts = np.ones(len(scores), np.int64) if weights is None else weights
    positives = counts[is_of_class].sum()
    negatives = counts[~is_of_class].sum()
    if not positives:
        return np.nan, np.nan
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # Equal scores are one threshold: its last row.
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    found = np.cumsum((counts * is_of_class)[order])[ends]
    called = np.cumsum(counts[order])[ends]
    gained = np.diff(found, prepend=0)
    average_precision = float((gained * (found / called)).sum() / positives)
    if not negatives:
        return np.nan, average_precision
    mistaken = np.diff(called - found, prepend=0)
    area = float((mistaken * (found - gained / 2)).sum())
    return float(area / (positives * negatives)), average_precision


@dataclass(frozen=True)
class Ranking:
    """How well probabilities rank the rows of each class above all others.

    Attributes
    ----------
    roc_auc, average_precision : (k,) float64
        NaN where not defined.
    """

    roc_auc: NDArray[np.float64]
    average_precision: NDArray[np.float64]


def rank_classes(truth: Codes, probabilities: NDArray[np.float64], weights: MaybeWeights = None) -> Ranking:
    """Rank the rows of every class above all others: (n,) int and (n, k) float64."""
    pairs = [rank_class(truth == code, column, weights) for code, column in enumerate(probabilities.T)]
    return Ranking(*np.array(pairs).T)


def pick_or_average(of_classes: NDArray[np.float64], positive: int) -> float:
    """Give the figure of the positive class of two, or the mean over more classes as far as it is defined.

    Parameters
    ----------
    of_classes : (k,) float64
    positive : int
        Place of the positive class.
    """
    if len(of_classes) == 2:
        return float(of_classes[positive])
    defined = of_classes[~np.isnan(of_classes)]
    return float(defined.mean()) if len(defined) else np.nan


def mean_log_loss(truth: Codes, probabilities: NDArray[np.float64], weights: MaybeWeights = None) -> float:
    """Average minus the logarithm of the true class's probability: (n,) int and (n, k) float64."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return average_weighted(-np.log(np.maximum(of_truth, LEAST_PROBABILITY)), weights)


@dataclass(frozen=True)
class Criterion:
    """The figure by which hyper-parameters are chosen, where the user named one.

    Attributes
    ----------
    figure : str
    positive : int
        Place of the positive class, where there are two.
    """

    figure: SelectedFigure
    positive: int = 1

    @property
    def needs_probabilities(self) -> bool:
        """Whether the figure is of probabilities, not of labels."""
        return self.figure in ("roc_auc", "log_loss", "average_precision")

    @property
    def sign(self) -> int:
        """-1 where less is better."""
        return -1 if self.figure == "log_loss" else 1

    def rate_labels(self, truth: NDArray[Any], predicted: NDArray[Any], weights: MaybeWeights = None) -> float:
        """Rate labels, (n,) both; the greatest rate is the best. NaN where no row has a weight."""
        if weights is not None:
            # A row of weight 0 is not there: its class need not occur.
            truth, predicted, weights = (values[weights > 0] for values in (truth, predicted, weights))
            if not len(truth):
                return np.nan
        if self.figure == "accuracy":
            return average_weighted(truth == predicted, weights)
        rate = balanced_accuracy if self.figure == "balanced_accuracy" else macro_f1
        return rate(truth, predicted, weights)

    def rate(
        self,
        truth: NDArray[Any],
        classes: NDArray[Any],
        probabilities: NDArray[np.float64],
        weights: MaybeWeights = None,
    ) -> float:
        """Rate probabilities, the greatest rate being the best; NaN where the rows do not define the figure.

        Parameters
        ----------
        truth : (n,) int
            Rows of classes without probabilities are left out.
        classes : (k,) int
            Sorted.
        probabilities : (n, k) float64
        weights : (n,) float64, optional
        """
        if not self.needs_probabilities:
            return self.rate_labels(truth, classes[probabilities.argmax(axis=1)], weights)
        is_known = np.isin(truth, classes)
        if weights is not None:
            is_known &= weights > 0
        if not is_known.any():
            return np.nan
        codes = np.searchsorted(classes, truth[is_known])
        known = probabilities[is_known]
        weights = None if weights is None else weights[is_known]
        if self.figure == "log_loss":
            return -mean_log_loss(codes, known, weights)
        of_classes: NDArray[np.float64] = getattr(rank_classes(codes, known, weights), self.figure)
        return pick_or_average(of_classes, int(np.searchsorted(classes, self.positive)))

    def rate_scores(
        self,
        kind: str,
        scores: NDArray[np.float64],
        classes: NDArray[Any],
        truth: NDArray[Any],
        weights: ValWeights = UNWEIGHTED_ROWS,
    ) -> float:
        """Rate the scores of a linear classifier, (k, n) or, of two classes, (1, n).

        Margins of the SVM become probabilities by the inverse temperature that suits these rows best, since that is
        fitted in the end, too. There rows have weights and classes have none: see `calibrate`.
        """
        if not self.needs_probabilities:
            return self.rate_labels(truth, classes[choose_codes(scores)], weights.prices)
        if len(scores) == 1:
            scores = np.vstack([np.zeros_like(scores), scores])
        inverse_temperature = 1.0
        is_known = np.isin(truth, classes)
        if kind == "svm" and is_known.any():
            codes = np.searchsorted(classes, truth[is_known])
            row_weights = None if weights.rows is None else weights.rows[is_known]
            inverse_temperature = fit_inverse_temperature(scores.T[is_known], codes, row_weights)
        return self.rate(truth, classes, softmax(inverse_temperature * scores.T, axis=1), weights.prices)

    def to_figure(self, merit: float | None) -> float | None:
        """Give the figure itself, of which a rate may have another sign."""
        return merit if merit is None else self.sign * merit


def average_views(probabilities: NDArray[np.float64], val: NDArray[np.intp]) -> NDArray[np.float64]:
    """Average the probabilities of views: (m * v, k) of validation rows (m, v), or (m,), to (m, k)."""
    if val.ndim == 1:
        return probabilities
    return np.asarray(probabilities.reshape(*val.shape, -1).mean(axis=1))
